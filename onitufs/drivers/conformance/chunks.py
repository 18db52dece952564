"""Uploads in chunks: hidden until they end, resumed where they broke, and as careful at the end as any upload."""

from pathlib import Path

import trio

from onitufs.drivers.handlers import RemotePath, Upload
from onitufs.model.copies import RemoteState
from onitufs.model.errors import Conflict, Gone, Stale
from onitufs.model.files import Kind
from onitufs.model.source import Source

from .placing import cancelling, expect
from .subject import MTIME_NS, Bytes, Entry, Subject, connected, upload

SIZE = 1_000_000
CHUNK = 300_000  # the last one is shorter
OLD, NEW = b"old", bytes(range(256)) * (SIZE // 256)


def has_chunks(s: Subject) -> bool:
    return s.handlers.has("start_upload")


class _Failing(Bytes):
    """A source that is no longer there from some offset on."""

    def __init__(self, data: bytes, good: int) -> None:
        super().__init__(data)
        self._good = good

    def read(self, offset: int, length: int) -> bytes:
        if offset + length > self._good:
            raise Stale("a newer version was saved")
        return super().read(offset, length)


async def _send(s: Subject, token: str, source: Source, offset: int = 0, up_to: int = len(NEW)) -> int:
    """Send chunks; the offset that was reached."""
    while offset < up_to:
        before = offset
        offset = await s.call("upload_chunk", token, source, offset, min(CHUNK, len(NEW) - offset))
        assert before < offset <= len(NEW)
    return offset


async def _sent(s: Subject, path: RemotePath, base: str | None = None) -> tuple[str, Upload]:
    """An upload of NEW that lacks its end only; its token."""
    wanted = upload(path, NEW, base)
    token = await s.call("start_upload", wanted)
    await _send(s, token, Bytes(NEW))
    return token, wanted


async def hidden_until_ended(s: Subject) -> None:
    """Nobody sees anything of it before it is whole; then it is as any file that was uploaded."""
    assert s.handlers.get("chunk_bytes") >= CHUNK, "the chunks of this check are larger than chunk_bytes"
    wanted = upload((b"f",), NEW)
    token = await s.call("start_upload", wanted)
    assert isinstance(token, str)
    assert token
    offset = 0
    while offset < len(NEW):
        offset = await _send(s, token, Bytes(NEW), offset, offset + 1)
        assert s.outside.names(()) == set()
        assert await s.call("stat", (b"f",)) is None
    state: RemoteState = await s.call("end_upload", token, wanted, Bytes(NEW))
    assert s.outside.read((b"f",)) == NEW
    assert s.outside.names(()) == {b"f"}
    found = await s.call("stat", (b"f",))
    assert (found.kind, found.size, found.state.rev) == (Kind.FILE, len(NEW), state.rev)
    if "keeps_mtime" in s.abilities:
        assert found.mtime_ns == s.kept_time(MTIME_NS)
    if "digest" in s.abilities:
        assert state.digest in (b"", await s.call("digest", (b"f",)))


async def resumed_by_another_session(entry: Entry, work_dir: Path) -> None:
    """What was sent is not sent again after the program was started anew, by the token alone."""
    async with connected(entry, work_dir) as s:
        if not has_chunks(s):
            return
        identity = s.identity
        wanted = upload((b"f",), NEW)
        token = await s.call("start_upload", wanted)
        sent = await _send(s, token, Bytes(NEW), up_to=CHUNK * 2)
    async with connected(entry, work_dir, identity) as s:
        offset = await s.call("restart_upload", token, wanted)
        assert offset is not None, "the upload was forgotten with its session"
        assert CHUNK <= offset <= sent, "what was sent is sent again"
        await _send(s, token, Bytes(NEW), offset)
        await s.call("end_upload", token, wanted, Bytes(NEW))
        assert s.outside.read((b"f",)) == NEW


async def a_stale_source_passes(s: Subject) -> None:
    """What the source raises is raised; nothing is seen of it, and the upload can go on or be ended."""
    wanted = upload((b"f",), NEW)
    token = await s.call("start_upload", wanted)
    good = CHUNK + CHUNK // 2
    try:
        await _send(s, token, _Failing(NEW, good))
    except Stale:
        pass
    else:
        raise AssertionError("the upload went on without its source")
    assert s.outside.names(()) == set()
    offset = await s.call("restart_upload", token, wanted)
    if offset is not None:
        assert offset <= good, "the service is said to hold what was never sent"
        await _send(s, token, Bytes(NEW), offset)
        await s.call("end_upload", token, wanted, Bytes(NEW))
        assert s.outside.read((b"f",)) == NEW


async def aborted(s: Subject) -> None:
    """An aborted upload is gone, with its token; to abort it again is success."""
    wanted = upload((b"f",), NEW)
    token = await s.call("start_upload", wanted)
    await _send(s, token, Bytes(NEW), up_to=CHUNK * 2)
    await s.call("abort_upload", token)
    await s.call("abort_upload", token)
    assert s.outside.names(()) == set()
    assert await s.call("restart_upload", token, wanted) is None
    await expect(Gone, s, "upload_chunk", token, Bytes(NEW), CHUNK * 2, CHUNK)
    await expect(Gone, s, "end_upload", token, wanted, Bytes(NEW))
    assert s.outside.names(()) == set()


async def aborted_after_its_end(s: Subject) -> None:
    """To abort an upload that has ended, as after a crash between, takes nothing away; to end it again is harmless."""
    token, wanted = await _sent(s, (b"f",))
    state = await s.call("end_upload", token, wanted, Bytes(NEW))
    try:
        again = await s.call("end_upload", token, wanted, Bytes(NEW))
    except (Gone, Conflict):
        pass
    else:
        assert again.rev == state.rev
    await s.call("abort_upload", token)
    assert s.outside.read((b"f",)) == NEW
    assert (await s.call("stat", (b"f",))).state.rev == state.rev


async def cancelled_in_a_chunk(s: Subject) -> None:
    """A chunk is ended where the source is read, if at all; what was sent before is good, and the upload goes on."""
    wanted = upload((b"f",), NEW)
    token = await s.call("start_upload", wanted)
    sent = await _send(s, token, Bytes(NEW), up_to=CHUNK)
    with trio.CancelScope() as scope:
        await s.call("upload_chunk", token, cancelling(s, NEW, scope), sent, len(NEW) - sent)
    assert s.outside.names(()) == set()
    offset = await s.call("restart_upload", token, wanted)
    assert offset is not None
    assert CHUNK <= offset <= len(NEW)
    await _send(s, token, Bytes(NEW), offset)
    await s.call("end_upload", token, wanted, Bytes(NEW))
    assert s.outside.read((b"f",)) == NEW


async def a_foreign_object_at_the_end(s: Subject) -> None:
    """What others put there meanwhile stays; when it is out of the way, nothing has to be sent again."""
    token, wanted = await _sent(s, (b"f",))
    s.outside.write((b"f",), b"theirs")
    await expect(Conflict, s, "end_upload", token, wanted, Bytes(NEW))
    assert s.outside.read((b"f",)) == b"theirs"
    s.outside.move((b"f",), (b"theirs",))
    await s.call("end_upload", token, wanted, Bytes(NEW))
    assert s.outside.read((b"f",)) == NEW
    assert s.outside.read((b"theirs",)) == b"theirs"


async def replaces_only_its_base(s: Subject) -> None:
    """A file is replaced as by upload_file: only the one of `base`, and what was there goes to trash."""
    old = await s.put((b"f",), OLD)
    token, wanted = await _sent(s, (b"f",), old.rev)
    assert s.outside.read((b"f",)) == OLD
    s.outside.write((b"f",), b"theirs")
    await expect(Conflict, s, "end_upload", token, wanted, Bytes(NEW))
    assert s.outside.read((b"f",)) == b"theirs"
    theirs = await s.call("stat", (b"f",))
    await s.call("end_upload", token, upload((b"f",), NEW, theirs.state.rev), Bytes(NEW))
    assert s.outside.read((b"f",)) == NEW
    trash = s.outside.trash()
    assert trash is None or b"theirs" in trash


async def a_missing_directory_is_gone(s: Subject) -> None:
    """The directory went away under the upload: once it is made again, nothing has to be sent again."""
    await s.call("make_directory", (b"d",), 0o755)
    token, wanted = await _sent(s, (b"d", b"f"))
    s.outside.remove((b"d",))
    await expect(Gone, s, "end_upload", token, wanted, Bytes(NEW))
    assert await s.call("restart_upload", token, wanted) == len(NEW)
    await s.call("make_directory", (b"d",), 0o755)
    await s.call("end_upload", token, wanted, Bytes(NEW))
    assert s.outside.read((b"d", b"f")) == NEW


async def ends_under_another_name(s: Subject) -> None:
    """The file was renamed while it was sent."""
    token, _ = await _sent(s, (b"f",))
    renamed = upload((b"g",), NEW)
    assert await s.call("restart_upload", token, renamed) == len(NEW)
    await s.call("end_upload", token, renamed, Bytes(NEW))
    assert s.outside.names(()) == {b"g"}
    assert s.outside.read((b"g",)) == NEW
