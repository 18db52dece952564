"""What a driver says it can keep, it keeps."""

from onitufs.model.errors import Conflict
from onitufs.model.files import Kind

from .placing import expect
from .subject import Subject


async def attributes(s: Subject) -> None:
    """Mode and time are set without a new upload, and not on what changed."""
    if not s.abilities & {"keeps_mode", "keeps_mtime"}:
        return
    state = await s.put((b"f",), b"one")
    changed = await s.call("set_attributes", (b"f",), state.rev, Kind.FILE, 0o600, 1_234_567_890_000_000_001)
    found = await s.call("stat", (b"f",))
    assert found.state.rev == changed.rev
    if "keeps_mtime" in s.abilities:
        assert found.mtime_ns == s.kept_time(1_234_567_890_000_000_001)
    assert s.outside.read((b"f",)) == b"one"
    await s.put((b"f",), b"two", changed.rev)
    s.outside.write((b"f",), b"theirs!")
    await expect(Conflict, s, "set_attributes", (b"f",), changed.rev, Kind.FILE, 0o600, 0)


async def symlinks(s: Subject) -> None:
    """Placed as links, replaced as links, and never followed."""
    if "symlinks" not in s.abilities:
        return
    state = await s.call("make_symlink", (b"l",), b"some/where", 10**18, None)
    found = await s.call("stat", (b"l",))
    assert (found.kind, found.target, found.state.rev) == (Kind.SYMLINK, b"some/where", state.rev)
    await expect(Conflict, s, "make_symlink", (b"l",), b"other", 10**18, None)
    state = await s.call("make_symlink", (b"l",), b"\xff\xfe", 10**18, state.rev)
    assert (await s.call("stat", (b"l",))).target == b"\xff\xfe"
    moved = await s.call("move_file", (b"l",), state.rev, Kind.SYMLINK, (b"m",), None)
    await s.call("delete_file", (b"m",), moved.rev)
    assert s.outside.names(()) == set()
