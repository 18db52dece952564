"""Servers that die, hang, are full or odd, or are changed under our hands: nothing is lost, and the error says why."""

import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from onitufs.drivers import sftp
from onitufs.drivers.conformance.placing import expect
from onitufs.drivers.conformance.subject import Bytes, connected, upload
from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.sftp import connecting, pool, wire
from onitufs.drivers.sftp.chunks import CHUNK_BYTES
from onitufs.drivers.sftp.connecting import Connector
from onitufs.drivers.sftp.pool import Lane
from onitufs.drivers.sftp.trash import Trash
from onitufs.drivers.sftp.wire import Wire
from onitufs.model.errors import Conflict, DriverError, Gone, NameNotAllowed, QuotaFull, ServiceError
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName
from tests.acceptance.harness import until

from .driving import driving, new_entry
from .fixtures import NewSshd
from .server import Sshd


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(90):
            await test()

    trio.run(bounded)


@contextmanager
def tmpfs(directory: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def temps(root: Path) -> list[str]:
    return os.listdir(root / ".onitufs" / "tmp")


# -- servers that go away ---------------------------------------------------------------------------------------------


def test_a_server_that_hangs_is_given_up(new_sshd: NewSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel goes on to acknowledge what is sent, so only the missing answer tells."""
    monkeypatch.setattr(wire, "STALL_S", 0.5)
    for module in (connecting, pool):
        monkeypatch.setattr(module, "TIMEOUT_S", 0.5)
    server = new_sshd()

    async def test() -> None:
        async with driving(server, tmp_path) as (s, root):
            state = await s.put((b"f",), b"one")
            server.freeze()
            try:
                for call in (
                    ("stat", (b"f",)),
                    ("upload_file", upload((b"f",), b"two", state.rev), Bytes(b"two")),
                ):
                    with pytest.raises(ServiceError, match="stopped answering"):
                        await s.call(*call)
                with pytest.raises(ServiceError, match="cannot be reached"):
                    await s.call("list_directory", ())
            finally:
                server.freeze(go_on=True)
            assert (root / "f").read_bytes() == b"one"
            assert (await s.call("stat", (b"f",))).state.rev == state.rev

    run(test)


def test_a_killed_server_is_connected_to_again(new_sshd: NewSshd, tmp_path: Path) -> None:
    """And what was under way on it failed: a write that was not answered is never taken for one that was."""
    server = new_sshd()
    content = os.urandom(1 << 20) * 40

    async def test() -> None:
        async with driving(server, tmp_path) as (s, root):
            state = await s.put((b"f",), b"one")
            killing = Bytes(content, server.kill)
            with pytest.raises(ServiceError):
                await s.call("upload_file", upload((b"f",), content, state.rev), killing)
            await expect(ServiceError, s, "stat", ())
            assert (root / "f").read_bytes() == b"one"
            server.start()
            await s.call("upload_file", upload((b"f",), content, state.rev), Bytes(content))
            assert (root / "f").read_bytes() == content
        identity = s.identity
        entry, _ = new_entry(server, tmp_path, root=str(root))
        async with connected(entry, tmp_path / "work", identity):
            assert temps(root) == [], "what the broken upload left is still there"

    run(test)


def test_a_reading_that_breaks_off_is_no_short_file(new_sshd: NewSshd, tmp_path: Path) -> None:
    server = new_sshd()

    async def test() -> None:
        async with driving(server, tmp_path) as (s, root):
            (root / "f").write_bytes(os.urandom(1 << 20) * 40)
            for trouble, error in ((lambda: os.truncate(root / "f", 30 << 20), Conflict), (server.kill, ServiceError)):
                found = await s.call("stat", (b"f",))
                todo = [trouble]

                def tick(_: int, todo: list[Callable[[], object]] = todo) -> None:
                    if todo:
                        todo.pop()()

                with tempfile.TemporaryFile() as file:
                    await expect(error, s, "get_file", (b"f",), found.state.rev, file.fileno(), tick)
                assert not todo

    run(test)


# -- servers that are full or odd -------------------------------------------------------------------------------------


def test_a_full_disk(sshd: Sshd, tmp_path: Path) -> None:
    """No write that failed is overlooked, whichever way the bytes go; nothing is left of what did not fit."""
    entry, root = new_entry(sshd, tmp_path)
    content = os.urandom(6 << 20)

    async def test() -> None:
        async with connected(entry, tmp_path / "work") as s:
            state = await s.put((b"f",), b"one")
            wanted = upload((b"f",), content, state.rev)
            with pytest.raises(QuotaFull, match="free some there"):
                await s.call("upload_file", wanted, Bytes(content))
            uploads = [
                (upload((b"new %d" % number,), content[: 1 << 20]), Bytes(content[: 1 << 20])) for number in range(6)
            ]
            answers = await s.call("upload_batch", uploads)
            assert any(isinstance(answer, QuotaFull) for answer in answers)
            for number, answer in enumerate(answers):
                there = root / f"new {number}"
                assert there.exists() is not isinstance(answer, DriverError)
                assert not there.exists() or there.read_bytes() == content[: 1 << 20]
            with pytest.raises(QuotaFull):
                await s.call("start_upload", wanted)
            assert (root / "f").read_bytes() == b"one"
            assert temps(root) == []

    with tmpfs(root, "4m"):
        run(test)


def test_a_write_in_the_middle_that_failed(sshd: Sshd, tmp_path: Path) -> None:
    """Those after it were done, as there was space again: the file has its size, and a hole."""
    entry, root = new_entry(sshd, tmp_path)
    content = os.urandom(1 << 20) * 7  # half of it is sent before the first answer is looked at

    async def test() -> None:
        async with connected(entry, tmp_path / "work") as s:
            (root / "filler").write_bytes(bytes(38 << 20))

            def make_space() -> None:
                until("the disk is full", lambda: os.statvfs(root).f_bavail == 0)
                (root / "filler").unlink()

            source = Bytes(content, make_space)
            with pytest.raises(DriverError):
                await s.call("upload_file", upload((b"f",), content), source)
            assert os.listdir(root) == [".onitufs"]

    with tmpfs(root, "40m"):
        run(test)


def test_what_was_not_synced_is_sent_again(sshd: Sshd, tmp_path: Path) -> None:
    """Bytes of an upload that broke off are on the server, and may be lost with it."""

    async def test() -> None:
        async with driving(sshd, tmp_path) as (s, root):
            content = os.urandom(3 << 20)
            wanted = upload((b"f",), content)
            token = await s.call("start_upload", wanted)
            assert await s.call("upload_chunk", token, Bytes(content), 0, 1 << 20) == 1 << 20
            with open(root / ".onitufs" / "tmp" / token, "ab") as temp:
                temp.write(bytes(1 << 20))
            assert await s.call("restart_upload", token, wanted) == 1 << 20
            assert await s.call("upload_chunk", token, Bytes(content), 1 << 20, 2 << 20) == 3 << 20
            await s.call("end_upload", token, wanted, Bytes(content))
            assert (root / "f").read_bytes() == content

    run(test)


def test_a_file_system_below_the_root_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    async def test() -> None:
        async with driving(sshd, tmp_path) as (s, root):
            await s.call("make_directory", (b"d",), 0o755)
            with tmpfs(root / "d", "1m"):
                with pytest.raises(NameNotAllowed, match="another file system"):
                    await s.put((b"d", b"f"), b"x")
                assert os.listdir(root / "d") == []

    run(test)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("ForceCommand echo hello, and welcome to this server",), "does not speak SFTP"),
        (("Subsystem sftp /nonexistent",), "closed the connection"),
        (("MaxSessions 0",), "no channel"),
    ],
)
def test_a_server_that_offers_no_sftp(new_sshd: NewSshd, tmp_path: Path, lines: tuple[str, ...], says: str) -> None:
    server = new_sshd(more=lines)

    async def test() -> None:
        with pytest.raises(ServiceError, match=says):
            async with driving(server, tmp_path):
                pass

    run(test)


def test_a_server_that_closes_before_it_is_asked_anything(new_sshd: NewSshd, tmp_path: Path) -> None:
    server = new_sshd(more=("Subsystem sftp /nonexistent",))
    read = sftp.DRIVER.read_options(server.options(), tmp_path, "entries.nas.options")
    connection = Connector(read, tmp_path / "work", EntryName("nas")).connect()
    try:
        channel = connection.transport.open_session()
        channel.invoke_subsystem("sftp")
        assert channel.recv(1) == b""
        until("the channel is closed", lambda: channel.closed)
        with pytest.raises(ServiceError, match="closed the connection"):
            Wire(channel)
    finally:
        connection.close()


def test_a_server_that_allows_one_conversation_only(new_sshd: NewSshd, tmp_path: Path) -> None:
    server = new_sshd(more=("MaxSessions 1",))

    async def test() -> None:
        async with driving(server, tmp_path) as (s, root):
            uploads = [(upload((b"%d" % number,), b"x"), Bytes(b"x")) for number in range(40)]
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(s.call, "list_directory", ())
                nursery.start_soon(s.call, "upload_batch", uploads)
            assert len(os.listdir(root)) == 41

    run(test)


def test_a_server_without_extensions_offers_none(bare_sshd: Sshd, tmp_path: Path) -> None:
    """So that the tests with it are of what they say."""

    async def test() -> None:
        async with driving(bare_sshd, tmp_path) as (s, _):
            with s.handlers._driver._pool.wire(Lane.NAMES) as conversation:
                offers = set(conversation.offers)
                limits = conversation.limits.read, conversation.limits.write
            assert not offers & {
                b"posix-rename@openssh.com", b"hardlink@openssh.com", b"fsync@openssh.com", b"limits@openssh.com",
                b"statvfs@openssh.com", b"lsetstat@openssh.com",
            }  # fmt: skip
            assert limits == (32768, 32768)

    run(test)


# -- what others do meanwhile -----------------------------------------------------------------------------------------


def test_no_link_is_followed(sshd: Sshd, tmp_path: Path) -> None:
    """A directory that somebody replaced by a link out of the root leads nowhere."""

    async def test() -> None:
        async with driving(sshd, tmp_path) as (s, root):
            outside = sshd.files / f"outside {root.name}"
            outside.mkdir()
            (outside / "f").write_bytes(b"not ours")
            (root / "d").symlink_to(outside)
            rev = (await s.put((b"g",), b"g")).rev
            await expect(Gone, s, "upload_file", upload((b"d", b"new"), b"x"), Bytes(b"x"))
            (answer,) = await s.call("upload_batch", [(upload((b"d", b"new"), b"x"), Bytes(b"x"))])
            assert isinstance(answer, Gone)
            await expect(Gone, s, "make_directory", (b"d", b"new"), 0o755)
            await expect(Gone, s, "list_directory", (b"d",))
            await expect(Gone, s, "get_chunk", (b"d", b"f"), rev, 0, 10)
            await expect(Gone, s, "start_upload", upload((b"d", b"new"), b"x"))
            await expect(Gone, s, "move_file", (b"g",), rev, Kind.FILE, (b"d", b"g"), None)
            assert await s.call("stat", (b"d", b"f")) is None
            await s.call("delete_file", (b"d", b"f"), rev)
            assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"f": b"not ours"}

    run(test)


def test_many_files_are_replaced_together(sshd: Sshd, chrooted_sshd: Sshd, bare_sshd: Sshd, tmp_path: Path) -> None:
    """Again and again, each old one kept; what others changed, and what is theirs alone, is not touched."""

    async def replaced(server: Sshd, base: Path) -> None:
        async with driving(server, base) as (s, root):
            revs: list[str | None] = [None] * 30
            for turn in range(5):
                uploads = []
                for number, rev in enumerate(revs):
                    data = b"%d of %d" % (turn, number)
                    uploads.append((upload((b"%d" % number,), data, rev), Bytes(data)))
                answers = await s.call("upload_batch", uploads)
                assert not [answer for answer in answers if isinstance(answer, DriverError)]
                revs = [answer.rev for answer in answers]
            (root / "7").write_bytes(b"theirs")
            (root / "8").unlink()
            answers = await s.call(
                "upload_batch", [(upload((b"%d" % n,), b"last", rev), Bytes(b"last")) for n, rev in enumerate(revs)]
            )
            assert [n for n, answer in enumerate(answers) if isinstance(answer, Conflict)] == [7]
            for number in range(30):
                assert (root / str(number)).read_bytes() == (b"theirs" if number == 7 else b"last")
            kept = sorted(path.read_bytes() for path in (root / ".onitufs" / "trash").rglob("*") if path.is_file())
            old = [b"%d of %d" % (turn, number) for turn in range(5) for number in range(30)]
            assert kept == sorted(set(old) - {b"4 of 7", b"4 of 8"})
            assert temps(root) == []

    for number, server in enumerate((sshd, chrooted_sshd, bare_sshd)):
        run(partial(replaced, server, tmp_path / str(number)))


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_what_is_saved_at_the_last_moment_stays(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool, bare: bool
) -> None:
    """Somebody saves a file, in place or by renaming, after we looked at it and before ours takes its name."""
    server: Sshd = request.getfixturevalue("bare_sshd" if bare else "sshd")
    original = Trash.slots

    async def test() -> None:
        async with driving(server, tmp_path) as (s, root):
            names = [b"in place", b"renamed", b"moved over", b"deleted"]
            revs = [(await s.put((name,), b"ours 1")).rev for name in names]
            moving = (await s.put((b"ours",), b"ours 2")).rev

            def save(trash: Trash, conversation: Wire, path: RemotePath) -> Iterator[bytes]:
                if path[-1] == b"renamed":
                    (root / "aside").write_bytes(b"theirs")
                    (root / "aside").rename(root / "renamed")
                else:
                    (root / os.fsdecode(path[-1])).write_bytes(b"theirs")
                yield from original(trash, conversation, path)

            monkeypatch.setattr(Trash, "slots", save)
            uploads = [
                (upload((name,), b"ours 2", rev), Bytes(b"ours 2")) for name, rev in zip(names, revs, strict=True)
            ]
            if together:
                answers = await s.call("upload_batch", uploads[:2])
                assert [type(answer) for answer in answers] == [Conflict, Conflict]
            else:
                for one in uploads[:2]:
                    await expect(Conflict, s, "upload_file", *one)
            await expect(Conflict, s, "move_file", (b"ours",), moving, Kind.FILE, (names[2],), revs[2])
            await expect(Conflict, s, "delete_file", (names[3],), revs[3])
            assert {name: (root / os.fsdecode(name)).read_bytes() for name in names} == dict.fromkeys(names, b"theirs")
            assert (root / "ours").read_bytes() == b"ours 2"
            assert temps(root) == []

    run(test)


def test_what_uploads_left_is_swept_up(sshd: Sshd, tmp_path: Path) -> None:
    """Our own at once; what can be gone on with, and what is others', when it is a week old."""
    entry, root = new_entry(sshd, tmp_path)

    async def test() -> None:
        async with connected(entry, tmp_path / "work") as s:
            token = await s.call("start_upload", upload((b"f",), b"x" * (CHUNK_BYTES + 1)))
        owner = (tmp_path / "work" / "owner").read_text()
        where = root / ".onitufs" / "tmp"
        for name in (f"{owner}-dead", "another-new", "another-old", f"{owner}-up-old"):
            (where / name).write_bytes(b"x")
        for name in ("another-old", f"{owner}-up-old"):
            os.utime(where / name, (1_600_000_000, 1_600_000_000))
        async with connected(entry, tmp_path / "work", s.identity):
            assert set(temps(root)) == {token, "another-new"}

    run(test)


def test_the_trash_is_kept_for_some_days(sshd: Sshd, tmp_path: Path) -> None:
    async def test() -> None:
        async with driving(sshd, tmp_path, trash_days=30) as (s, root):
            trash = root / ".onitufs" / "trash"
            for day in ("2023-10-01", "2023-11-10"):  # the clock of the suite says 2023-11-14
                (trash / day / "d").mkdir(parents=True)
                (trash / day / "d" / "f").write_bytes(b"x")
            (trash / "theirs").write_bytes(b"x")
            assert not await s.call("tend")
            assert set(os.listdir(trash)) == {"2023-11-10", "theirs"}

    run(test)
