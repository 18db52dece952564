"""Coming up, being known again, and going away."""

from pathlib import Path

from onitufs.model.errors import NeedsPerson, ServiceError

from .subject import Entry, Subject, connected, new_driver


async def known_again(entry: Entry, work_dir: Path) -> None:
    """The identity lasts, and another one is refused."""
    async with connected(entry, work_dir) as first:
        identity = first.identity
        assert identity
        state = await first.put((b"f",), b"one")
    async with connected(entry, work_dir, identity) as second:
        assert second.identity == identity
        await second.put((b"f",), b"two", state.rev)
        assert entry.outside.read((b"f",)) == b"two"
    for handler in ("connect", "probe"):
        handlers = new_driver(entry, work_dir, "another place")
        refusal = None
        try:
            await handlers.call(handler)
        except NeedsPerson as exc:
            refusal = str(exc)
        finally:
            await handlers.call("close")
        assert refusal is not None, f"{handler} took another place for its own"
        assert "; " in refusal, "the message has to say what to do"
    assert entry.outside.read((b"f",)) == b"two"


async def probe_changes_nothing(entry: Entry, work_dir: Path) -> None:
    """Looking works before the first use, and beside a connected driver."""
    handlers = new_driver(entry, work_dir)
    await handlers.call("probe")
    await handlers.call("close")
    async with connected(entry, work_dir) as subject:
        await subject.put((b"f",), b"one")
        beside = new_driver(entry, work_dir, subject.identity)
        await beside.call("probe")
        await beside.call("close")
        assert entry.outside.names(()) == {b"f"}


async def closed_twice(entry: Entry, work_dir: Path) -> None:
    """Also without, and after a failed, connect."""
    handlers = new_driver(entry, work_dir)
    await handlers.call("close")
    async with connected(entry, work_dir) as subject:
        await subject.call("close")
        await subject.call("close")


async def says_what_is_free(s: Subject) -> None:
    """Bytes, if it can say; never less than none, nor more than all."""
    if not s.handlers.has("free_space"):
        return
    try:
        free, total = await s.call("free_space")
    except ServiceError:
        return
    assert isinstance(free, int)
    assert free >= 0
    assert total is None or free <= total
