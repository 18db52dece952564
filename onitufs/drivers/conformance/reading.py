"""Readings are of one rev, or they fail."""

import os
import tempfile
from functools import partial

from onitufs.drivers.handlers import RemotePath
from onitufs.model.digests import algorithm_of, digest_of
from onitufs.model.errors import Conflict, Gone

from .placing import expect
from .subject import Subject

CONTENT = bytes(range(256)) * 80_000
"""20 MB: more than what any driver takes in one step."""


def _part(data: bytes, offset: int, length: int) -> bytes:
    return data[offset : offset + length]


async def reads_by_range(s: Subject) -> None:
    """Any range; fewer bytes only at the end; nothing of another rev."""
    if "read" not in s.abilities:
        return
    s.outside.write((b"f",), CONTENT[:300_000])
    rev = (await s.call("stat", (b"f",))).state.rev
    for offset, length in [(0, 1), (0, 300_000), (1, 70_000), (299_999, 10), (300_000, 10), (400_000, 10), (65_536, 0)]:
        assert await s.call("get_chunk", (b"f",), rev, offset, length) == CONTENT[:300_000][offset : offset + length]
    s.outside.write((b"f",), b"x" * 300_000)
    await expect(Conflict, s, "get_chunk", (b"f",), rev, 0, 10)
    s.outside.make_directory((b"d",))
    await expect(Conflict, s, "get_chunk", (b"d",), (await s.call("stat", (b"d",))).state.rev, 0, 10)
    await expect(Gone, s, "get_chunk", (b"no",), rev, 0, 10)
    await expect(Gone, s, "get_chunk", (b"no", b"f"), rev, 0, 10)


async def reads_many(s: Subject) -> None:
    """Together, each file gives what it gives alone, and none is hurt by others that are not there."""
    if not s.handlers.has("read_many"):
        return
    assert await s.call("read_many", []) == []
    s.outside.make_directory((b"d",))
    contents: dict[RemotePath, bytes] = {(b"d", b"%d" % number): CONTENT[: number * 1999] for number in range(40)}
    contents[b"empty",], contents[b"f",] = b"", CONTENT[:300_000]
    for path, content in contents.items():
        s.outside.write(path, content)
    wanted = [(path, (await s.call("stat", path)).state.rev) for path in contents]
    assert await s.call("read_many", wanted) == list(contents.values())
    s.outside.write((b"f",), b"x" * 300_000)
    s.outside.remove((b"d", b"7"))
    strange = [((b"d",), (await s.call("stat", (b"d",))).state.rev), ((b"no", b"f"), wanted[0][1])]
    if "symlinks" in s.abilities:  # which are not followed
        await s.call("make_symlink", (b"through",), b"d", 10**18, None)
        strange.append(((b"through", b"5"), dict(wanted)[b"d", b"5"]))
    read = await s.call("read_many", strange[:1] + wanted + strange[1:])
    assert isinstance(read[0], Conflict), read[0]
    assert all(isinstance(answer, Gone) for answer in read[1 + len(wanted) :]), read[1 + len(wanted) :]
    for (path, _), answer in zip(wanted, read[1:], strict=False):
        expected = {(b"f",): Conflict, (b"d", b"7"): Gone}.get(path)
        assert answer == contents[path] if expected is None else isinstance(answer, expected), (path, answer)


async def reads_whole(s: Subject) -> None:
    """All bytes, and a digest that is right or none."""
    if "read" not in s.abilities:
        return
    for data in (b"", b"one", CONTENT):
        s.outside.write((b"f",), data)
        rev = (await s.call("stat", (b"f",))).state.rev
        ticks = [0]
        with tempfile.TemporaryFile() as file:
            digest = await s.call("get_file", (b"f",), rev, file.fileno(), ticks.append)
            assert os.pread(file.fileno(), len(CONTENT) + 1, 0) == data
        assert digest in (b"", digest_of(partial(_part, data), algorithm_of(digest)))
        assert (sorted(ticks), ticks[-1]) == (ticks, len(data))
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()

            def keeps(written: int, fd: int = file.fileno(), data: bytes = data) -> None:
                assert os.pread(fd, len(data) + 1, 0) == data, "what stood in the file already was cut off"

            await s.call("get_file", (b"f",), rev, file.fileno(), keeps)
            keeps(len(data))
    with tempfile.TemporaryFile() as file:
        await expect(Gone, s, "get_file", (b"no",), rev, file.fileno(), ticks.append)
        await expect(Conflict, s, "get_file", (b"f",), "0", file.fileno(), ticks.append)


async def a_change_while_reading_is_a_conflict(s: Subject) -> None:
    """Bytes of two states are never taken for one, also if the size is the same."""
    if "read" not in s.abilities:
        return
    s.outside.write((b"f",), CONTENT)
    rev = (await s.call("stat", (b"f",))).state.rev
    changed = False

    def change(written: int) -> None:
        nonlocal changed
        if not changed:
            changed = True
            s.outside.write((b"f",), CONTENT[::-1])

    with tempfile.TemporaryFile() as file:
        await expect(Conflict, s, "get_file", (b"f",), rev, file.fileno(), change)
    assert changed


async def a_reading_can_be_ended(s: Subject) -> None:
    """What `tick` raises passes."""
    if "read" not in s.abilities:
        return
    s.outside.write((b"f",), CONTENT)
    rev = (await s.call("stat", (b"f",))).state.rev
    ticks = []

    def end(written: int) -> None:
        ticks.append(written)
        raise LookupError("enough")

    with tempfile.TemporaryFile() as file:
        try:
            await s.call("get_file", (b"f",), rev, file.fileno(), end)
        except LookupError:
            pass
        else:
            raise AssertionError("the reading went on after `tick` ended it")
    assert len(ticks) == 1
