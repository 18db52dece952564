"""Lists are complete or no lists, and objects keep their ids."""

import trio

from onitufs.drivers.handlers import PRIVATE
from onitufs.model.errors import DriverError, Gone
from onitufs.model.files import Kind

from .naming import AWKWARD
from .placing import expect
from .subject import Subject


async def lists(s: Subject) -> None:
    """Every name, with what `stat` says of it; nothing of what is the driver's own."""
    if "list" not in s.abilities:
        return
    assert await s.call("list_directory", ()) == []
    await s.put((b"ours",), b"one", mode=0o640)
    s.outside.write((b"theirs",), b"three")
    s.outside.make_directory((b"directory",))
    for number in range(600):
        s.outside.write((b"directory", b"%d" % number), b"x")
    if "symlinks" in s.abilities:
        await s.call("make_symlink", (b"link",), b"some/where", 10**18, None)
    listed = await s.call("list_directory", ())
    found = dict(listed)
    assert len(listed) == len(found), "a name is listed twice"
    assert set(found) == s.outside.names(())
    assert PRIVATE not in found
    for name, seen in found.items():
        assert seen == await s.call("stat", (name,)), name
    assert (found[b"ours"].kind, found[b"ours"].size, found[b"theirs"].size) == (Kind.FILE, 3, 5)
    if "keeps_mode" in s.abilities:
        assert found[b"ours"].mode == 0o640
    assert found[b"directory"].kind is Kind.DIRECTORY
    assert len(await s.call("list_directory", (b"directory",))) == 600
    await expect(Gone, s, "list_directory", (b"no",))
    await expect(Gone, s, "list_directory", (b"theirs",))
    await expect(Gone, s, "list_directory", (b"theirs", b"below"))


async def looks_at_many(s: Subject) -> None:
    """Together, each path has the answer that it has alone."""
    if not s.handlers.has("stat_many"):
        return
    await s.put((b"ours",), b"one")
    s.outside.make_directory((b"directory",))
    s.outside.write((b"directory", b"theirs"), b"three")
    paths = [(b"ours",), (b"no",), (), (b"directory", b"theirs"), (b"ours", b"below"), (b"no", b"no"), (b"directory",)]
    assert await s.call("stat_many", paths) == [await s.call("stat", path) for path in paths]
    assert await s.call("stat_many", []) == []


async def lists_awkward_names(s: Subject) -> None:
    """Names are listed as they are."""
    if "list" not in s.abilities:
        return
    for name in AWKWARD:
        try:
            await s.put((name,), b"x")
        except DriverError:
            continue
    assert {name for name, _ in await s.call("list_directory", ())} == s.outside.names(())


async def a_broken_list_is_an_error(s: Subject) -> None:
    """While the place cannot be listed completely, nothing is said to be absent."""
    if "list" not in s.abilities:
        return
    for number in range(20):
        s.outside.write((b"%d" % number,), b"x")
    assert (await s.call("stat", ())).kind is Kind.DIRECTORY
    with s.outside.broken():
        await expect(DriverError, s, "list_directory", ())
        try:
            found = await s.call("stat", (b"7",))
        except DriverError:
            pass
        else:
            assert found is not None, "a file is said to be absent while the place was not reached"
    assert len(await s.call("list_directory", ())) == 20


async def ids_outlive_renames(s: Subject) -> None:
    """An object has one id, under all its names, until it is gone; no other one ever has it."""
    if "list" not in s.abilities:
        return
    state = await s.put((b"f",), b"one")
    made, _ = await s.call("make_directory", (b"d",), 0o755)
    s.outside.write((b"d", b"g"), b"two")
    ids = {path: (await s.call("stat", path)).state.remote_id for path in [(b"f",), (b"d",), (b"d", b"g")]}
    if not all(ids.values()):
        return  # the service cannot tell
    assert (state.remote_id, made.remote_id) == (ids[(b"f",)], ids[(b"d",)])
    assert len(set(ids.values())) == 3
    s.outside.move((b"d",), (b"e",))
    assert dict(await s.call("list_directory", ()))[b"e"].state.remote_id == ids[(b"d",)]
    assert dict(await s.call("list_directory", (b"e",)))[b"g"].state.remote_id == ids[(b"d", b"g")]
    moved = await s.call("move_file", (b"f",), state.rev, Kind.FILE, (b"e", b"f"), None)
    assert moved.remote_id == ids[(b"f",)]
    s.outside.write((b"e", b"f"), b"changed in place")
    assert (await s.call("stat", (b"e", b"f"))).state.remote_id == ids[(b"f",)]
    await trio.sleep(0.02)  # clocks of file systems tick: an object that lived shorter than that is nobody's concern
    for number in range(20):  # some use their numbers again at once
        s.outside.remove((b"e", b"f"))
        s.outside.write((b"e", b"f"), b"%d" % number)
        again = (await s.call("stat", (b"e", b"f"))).state.remote_id
        assert again not in ids.values(), "another object has the id of one that is gone"
