"""Uploads: in one step, conditional on the rev, and whole or not at all."""

import threading

import trio

from onitufs.drivers.progress import Metered, Transfer
from onitufs.model.copies import Place, RemoteState
from onitufs.model.errors import Conflict, DriverError, Gone
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName, FileId, GenerationId
from onitufs.model.orders import Put
from onitufs.model.source import Source

from .subject import MTIME_NS, Bytes, Subject, upload


async def expect(error: type[DriverError], subject: Subject, name: str, *args: object) -> None:
    """The handler raises that error."""
    try:
        answer = await subject.call(name, *args)
    except error:
        return
    raise AssertionError(f"{name} answered {answer!r} where it had to raise {error.__name__}")


async def new_file(s: Subject) -> None:
    """A new file has its content, size and time, and `stat` gives the rev that the upload gave."""
    for data in (b"", b"content", bytes(300_000)):
        name = b"new %d" % len(data)
        state = await s.put((name,), data)
        assert s.outside.read((name,)) == data
        found = await s.call("stat", (name,))
        assert (found.kind, found.size, found.state.rev) == (Kind.FILE, len(data), state.rev)
        if "keeps_mtime" in s.abilities:
            assert found.mtime_ns == s.kept_time(MTIME_NS)
        if "digest" in s.abilities:
            digest = await s.call("digest", (name,))
            assert state.digest in (b"", digest)


async def replace_in_one_step(s: Subject) -> None:
    """Somebody who reads all the time never sees the name absent, empty or mixed."""
    one, two = b"1" * 200_000, b"2" * 200_000
    state = await s.put((b"f",), one)
    stop = threading.Event()
    seen: set[bytes | None] = set()

    def look() -> None:
        while not stop.is_set():
            seen.add(s.outside.read((b"f",)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, look)
        try:
            for number in range(40):
                state = await s.put((b"f",), (two, one)[number % 2], state.rev)
        finally:
            stop.set()
    assert seen <= {one, two}, {content and (len(content), content[:1], content[-1:]) for content in seen}
    assert s.outside.names(()) == {b"f"}


async def replaced_goes_to_trash(s: Subject) -> None:
    """What is replaced can be brought back."""
    state = await s.put((b"f",), b"one")
    for number in range(3):
        state = await s.put((b"f",), b"%d" % number, state.rev)
    trash = s.outside.trash()
    if trash is not None:
        assert sorted(trash) == [b"0", b"1", b"one"]


async def foreign_object_is_a_conflict(s: Subject) -> None:
    """Nothing is placed over what the caller does not know, and what is there stays."""
    s.outside.write((b"theirs",), b"theirs")
    await expect(Conflict, s, "upload_file", upload((b"theirs",), b"ours"), Bytes(b"ours"))
    assert s.outside.read((b"theirs",)) == b"theirs"
    s.outside.make_directory((b"directory",))
    await expect(Conflict, s, "upload_file", upload((b"directory",), b"ours"), Bytes(b"ours"))
    assert s.outside.names(()) == {b"theirs", b"directory"}


async def foreign_edit_is_a_conflict(s: Subject) -> None:
    """A changed rev is seen, also if the size is the same."""
    state = await s.put((b"f",), b"ours 1")
    s.outside.write((b"f",), b"theirs")
    await expect(Conflict, s, "upload_file", upload((b"f",), b"ours 2", state.rev), Bytes(b"ours 2"))
    assert s.outside.read((b"f",)) == b"theirs"
    found = await s.call("stat", (b"f",))
    assert found.state.rev != state.rev


async def absent_object_is_placed_anew(s: Subject) -> None:
    """If what was to be replaced is gone, the new one is placed: the edit lives."""
    state = await s.put((b"f",), b"one")
    await s.call("delete_file", (b"f",), state.rev)
    await s.put((b"f",), b"two", state.rev)
    assert s.outside.read((b"f",)) == b"two"


async def missing_directory_is_gone(s: Subject) -> None:
    await expect(Gone, s, "upload_file", upload((b"no", b"f"), b"x"), Bytes(b"x"))
    s.outside.write((b"file",), b"x")
    await expect(Gone, s, "upload_file", upload((b"file", b"f"), b"x"), Bytes(b"x"))
    assert s.outside.names(()) == {b"file"}


def cancelling(s: Subject, data: bytes, scope: trio.CancelScope) -> Source:
    """A source as the Plug gives it, that cancels the work once half of it was read."""

    def cancel() -> None:
        if trio.lowlevel.in_trio_run():
            scope.cancel()
        else:
            trio.from_thread.run_sync(scope.cancel)

    order = Put(
        entry=EntryName("conformance"), file=FileId(99), kind=Kind.FILE, place=Place(FileId(1), b"f"),
        generation=GenerationId(1), size=len(data), mtime_ns=0, mode=0o644,
    )  # fmt: skip
    return Metered(Bytes(data, cancel), Transfer(order, len(data), trio.current_time), s.handlers.runner)


async def cancelled_half_way(s: Subject) -> None:
    """A cancelled upload leaves what was there, and nothing beside it."""
    old = b"old" * 1000
    new = b"new" * 500_000
    state = await s.put((b"f",), old)
    with trio.CancelScope() as scope:
        await s.call("upload_file", upload((b"f",), new, state.rev), cancelling(s, new, scope))
    assert scope.cancelled_caught, "the upload went on after it was cancelled"
    assert s.outside.read((b"f",)) == old
    assert s.outside.names(()) == {b"f"}
    await s.put((b"f",), new, state.rev)
    assert s.outside.read((b"f",)) == new


async def batch(s: Subject) -> None:
    """Each file of a batch has its own answer; one that fails harms no other."""
    if not s.handlers.has("upload_batch"):
        return
    known = await s.put((b"known",), b"old")
    s.outside.write((b"foreign",), b"theirs")
    wanted = [(upload((b"f%d" % n,), b"%d" % n), Bytes(b"%d" % n)) for n in range(20)]
    wanted[3] = (upload((b"foreign",), b"ours"), Bytes(b"ours"))
    wanted[7] = (upload((b"no", b"f"), b"x"), Bytes(b"x"))
    wanted[9] = (upload((b"known",), b"new", known.rev), Bytes(b"new"))
    answers = await s.call("upload_batch", wanted)
    assert len(answers) == len(wanted)
    assert isinstance(answers[3], Conflict)
    assert isinstance(answers[7], Gone)
    assert s.outside.read((b"foreign",)) == b"theirs"
    assert s.outside.read((b"known",)) == b"new"
    for number, answer in enumerate(answers):
        if number in (3, 7):
            continue
        assert isinstance(answer, RemoteState), answer
        path = wanted[number][0].path
        found = await s.call("stat", path)
        assert found.state.rev == answer.rev
        assert s.outside.read(path) == (b"new" if number == 9 else b"%d" % number)
