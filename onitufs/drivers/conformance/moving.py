"""Renames, on the service, of files and directories."""

from onitufs.drivers.handlers import PARKED
from onitufs.model.errors import Conflict, Gone
from onitufs.model.files import Kind

from .placing import expect
from .subject import Subject


async def move(s: Subject) -> None:
    """A file has its new name only, and its content; moved again, repeated, and moved onto itself."""
    state = await s.put((b"a",), b"one")
    await s.call("make_directory", (b"d",), 0o755)
    moved = await s.call("move_file", (b"a",), state.rev, Kind.FILE, (b"d", b"b"), None)
    assert s.outside.names(()) == {b"d"}
    assert s.outside.read((b"d", b"b")) == b"one"
    assert (await s.call("stat", (b"d", b"b"))).state.rev == moved.rev
    again = await s.call("move_file", (b"a",), state.rev, Kind.FILE, (b"d", b"b"), None)
    assert again.rev == moved.rev
    await s.call("move_file", (b"d", b"b"), moved.rev, Kind.FILE, (b"d", b"b"), None)
    assert s.outside.read((b"d", b"b")) == b"one"


async def move_over(s: Subject) -> None:
    """What is known there goes to trash; what is not known there stays, and so does what was to be moved."""
    a, b = await s.put((b"a",), b"one"), await s.put((b"b",), b"other")
    await expect(Conflict, s, "move_file", (b"a",), a.rev, Kind.FILE, (b"b",), None)
    await expect(Conflict, s, "move_file", (b"a",), a.rev, Kind.FILE, (b"b",), a.rev)
    assert (s.outside.read((b"a",)), s.outside.read((b"b",))) == (b"one", b"other")
    await s.call("move_file", (b"a",), a.rev, Kind.FILE, (b"b",), b.rev)
    assert s.outside.names(()) == {b"b"}
    assert s.outside.read((b"b",)) == b"one"
    if (trash := s.outside.trash()) is not None:
        assert trash == [b"other"]


async def move_of_what_changed(s: Subject) -> None:
    state = await s.put((b"a",), b"ours")
    s.outside.write((b"a",), b"theirs")
    await expect(Conflict, s, "move_file", (b"a",), state.rev, Kind.FILE, (b"b",), None)
    await expect(Gone, s, "move_file", (b"no",), state.rev, Kind.FILE, (b"b",), None)
    await expect(
        Gone, s, "move_file", (b"a",), (await s.call("stat", (b"a",))).state.rev, Kind.FILE, (b"no", b"b"), None
    )
    assert s.outside.names(()) == {b"a"}


async def move_a_directory(s: Subject) -> None:
    """With all that is in it; onto an empty known one; never onto one that is not empty."""
    await s.call("make_directory", (b"d",), 0o755)
    await s.put((b"d", b"f"), b"one")
    state, _ = await s.call("make_directory", (b"e",), 0o755)
    directory = await s.call("stat", (b"d",))
    await s.call("move_file", (b"d",), directory.state.rev, Kind.DIRECTORY, (b"e",), state.rev)
    assert s.outside.names(()) == {b"e"}
    assert s.outside.read((b"e", b"f")) == b"one"
    await s.call("make_directory", (b"x",), 0o755)
    await expect(Conflict, s, "move_file", (b"x",), "", Kind.DIRECTORY, (b"e",), "")
    assert s.outside.read((b"e", b"f")) == b"one"
    assert s.outside.names(()) == {b"e", b"x"}


async def parking(s: Subject) -> None:
    """The parking directory takes things, and gives them back; nobody else's eye falls on it."""
    state = await s.put((b"a",), b"one")
    parked = await s.call("move_file", (b"a",), state.rev, Kind.FILE, (*PARKED, b"7"), None)
    assert s.outside.names(()) == set()
    await s.call("move_file", (*PARKED, b"7"), parked.rev, Kind.FILE, (b"b",), None)
    assert s.outside.read((b"b",)) == b"one"
