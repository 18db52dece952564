"""Names: any bytes that a Linux program may use, kept as they are or refused by their own error."""

from onitufs.model.errors import NameNotAllowed

from .subject import Subject

AWKWARD = (
    b"\xff\xfe not UTF-8",
    b"n" * 255,
    b".hidden",
    b"..three",
    b"new\nline",
    b" spaces ",
    b"-dash",
    b'a:b\\c*d?e"f<g>h|i',
    b"\xc3\xa9",  # one letter, composed
    b"e\xcc\x81",  # and decomposed
    b"con",
    b"\x01\x7f",
    b"Case",
    b"case",
)


async def awkward_names(s: Subject) -> None:
    """Each is kept apart from all others, or is refused; a refused one leaves nothing behind."""
    kept = {}
    for number, name in enumerate(AWKWARD):
        try:
            await s.put((name,), b"%d" % number)
        except NameNotAllowed:
            continue
        kept[name] = b"%d" % number
    assert s.outside.names(()) == set(kept)
    for name, data in kept.items():
        assert s.outside.read((name,)) == data
        found = await s.call("stat", (name,))
        moved = await s.call("move_file", (name,), found.state.rev, found.kind, (b"moved",), None)
        await s.call("move_file", (b"moved",), moved.rev, found.kind, (name,), None)
        found = await s.call("stat", (name,))
        await s.call("delete_file", (name,), found.state.rev)
    assert s.outside.names(()) == set()


async def too_long_a_name(s: Subject) -> None:
    """A name that the service cannot take is its own error."""
    try:
        await s.put((b"n" * 300,), b"x")
    except NameNotAllowed:
        assert s.outside.names(()) == set()


async def deep_paths(s: Subject) -> None:
    """A path that is longer than what one call of the system takes is kept, or refused by its own error."""
    path: tuple[bytes, ...] = ()
    for number in range(60):
        deeper = (*path, b"%d" % number + b"x" * 98)
        try:
            await s.call("make_directory", deeper, 0o755)
        except NameNotAllowed:
            break
        path = deeper
    assert len(path) > 20
    state = await s.put((*path, b"f"), b"deep")
    assert (await s.call("stat", (*path, b"f"))).size == 4
    moved = await s.call(
        "move_file", (*path, b"f"), state.rev, (await s.call("stat", (*path, b"f"))).kind, (b"f",), None
    )
    assert s.outside.read((b"f",)) == b"deep"
    await s.call("delete_file", (b"f",), moved.rev)
    for depth in range(len(path), 0, -1):
        assert await s.call("remove_directory", path[:depth], "")
    assert s.outside.names(()) == set()
