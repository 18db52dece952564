"""Deletions: by way of trash, never of what the caller does not know, and as often as asked."""

from onitufs.model.errors import Conflict
from onitufs.model.files import Kind

from .placing import expect
from .subject import Subject


async def delete(s: Subject) -> None:
    """Repeated deletes, and deletes below what is gone, are successes."""
    await s.call("make_directory", (b"d",), 0o755)
    state = await s.put((b"d", b"f"), b"one")
    await s.call("delete_file", (b"d", b"f"), state.rev)
    await s.call("delete_file", (b"d", b"f"), state.rev)
    await s.call("delete_file", (b"no", b"f"), state.rev)
    assert s.outside.names((b"d",)) == set()
    if (trash := s.outside.trash()) is not None:
        assert trash == [b"one"]


async def delete_of_what_changed(s: Subject) -> None:
    state = await s.put((b"f",), b"ours")
    s.outside.write((b"f",), b"their edit")
    await expect(Conflict, s, "delete_file", (b"f",), state.rev)
    assert s.outside.read((b"f",)) == b"their edit"


async def remove_directory(s: Subject) -> None:
    """Only an empty one goes."""
    state, made = await s.call("make_directory", (b"d",), 0o755)
    assert made
    again, made = await s.call("make_directory", (b"d",), 0o755)
    assert not made
    assert again.rev == state.rev
    s.outside.write((b"d", b"theirs"), b"x")
    assert not await s.call("remove_directory", (b"d",), state.rev)
    assert s.outside.read((b"d", b"theirs")) == b"x"
    found = await s.call("stat", (b"d", b"theirs"))
    await s.call("delete_file", (b"d", b"theirs"), found.state.rev)
    assert await s.call("remove_directory", (b"d",), state.rev)
    assert await s.call("remove_directory", (b"d",), state.rev)
    assert s.outside.names(()) == set()
    s.outside.write((b"file",), b"x")
    assert not await s.call("remove_directory", (b"file",), "")
    await expect(Conflict, s, "make_directory", (b"file",), 0o755)
    assert (await s.call("stat", (b"file",))).kind is Kind.FILE
