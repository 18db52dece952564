"""Barriers and folds: who shares them, who learns of their failure, and that nobody waits without end."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from onitufs.catalog import keys, store
from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.model.ids import ContentId, Seq

KEY, OTHER = keys.meta("key"), keys.meta("other")


def last(catalog: Catalog) -> Seq:
    return Seq(catalog.next_seq - 1)


def broken(fd: int) -> None:
    raise OSError(5, "Input/output error")


class Held:
    """Runs what the catalog gives to threads at once, but holds its answer back until `let_go`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._gate = trio.Event()

    async def __call__(self, function: Callable[..., Any], /, *args: Any) -> Any:
        self.calls.append(function.__name__)
        gate = self._gate
        await gate.wait()
        return function(*args)

    def let_go(self) -> None:
        gate, self._gate = self._gate, trio.Event()
        gate.set()


@pytest.fixture
def held(catalog: Catalog) -> Held:
    catalog._in_thread = held = Held()
    return held


async def test_callers_share_a_barrier_and_later_ones_share_the_next(catalog: Catalog, held: Held) -> None:
    """One that began before a record was written does not speak for it."""
    done: list[str] = []

    async def wait(name: str, seq: Seq) -> None:
        await catalog.barrier(seq)
        done.append(name)

    async with trio.open_nursery() as nursery:
        first = catalog.commit({KEY: b"1"})
        for name in ("a", "b"):
            nursery.start_soon(wait, name, first)
        await trio.testing.wait_all_tasks_blocked()
        second = catalog.commit({KEY: b"2"})
        for name in ("c", "d"):
            nursery.start_soon(wait, name, second)
        await trio.testing.wait_all_tasks_blocked()
        assert held.calls == ["_barrier_in_thread"]
        held.let_go()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(done) == ["a", "b"]
        assert catalog.durable_seq == first
        assert held.calls == ["_barrier_in_thread"] * 2
        held.let_go()
    assert sorted(done) == ["a", "b", "c", "d"]
    assert catalog.durable_seq == second
    await catalog.barrier(second)
    assert len(held.calls) == 2


async def test_a_failed_barrier_fails_all_who_waited_and_the_next_may_succeed(
    catalog: Catalog, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[int | None] = []
    told: list[Seq] = []
    catalog.on_durable = told.append

    async def wait(seq: Seq) -> None:
        with pytest.raises(OSError, match="syncing failed") as caught:
            await catalog.barrier(seq)
        errors.append(caught.value.errno)

    seq = catalog.commit({KEY: b"1"})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(wait, seq)
            await trio.testing.wait_all_tasks_blocked()
            held.let_go()
    assert errors == [5, 5, 5]
    assert catalog.durable_seq < seq
    assert told == []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(catalog.barrier, seq)
        await trio.testing.wait_all_tasks_blocked()
        held.let_go()
    assert catalog.durable_seq == seq
    assert told == [seq]


async def test_nothing_is_folded_until_a_barrier_succeeds(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """LMDB must not learn of what may not be on disk."""
    catalog.commit({KEY: b"1"})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        for _ in range(2):
            with pytest.raises(OSError, match="syncing failed"):
                await catalog.fold()
    assert catalog._table.get(KEY) is None
    assert catalog.get(KEY) == b"1"
    await catalog.fold()
    assert catalog._table.get(KEY) == b"1"


async def test_content_that_failed_is_written_again_before_it_is_synced_again(
    state: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = catalog._content
    assert isinstance(content, ContentStore)
    number, data = ContentId(catalog.next_seq), os.urandom(20 << 20)
    fd = content.create(number)
    os.write(fd, data)
    content.sealed(number, catalog.commit({KEY: b"1"}), len(data))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="syncing failed"):
            await catalog.barrier(last(catalog))
    assert content.undurable_bytes == len(data)
    inode, rewritten, real = os.fstat(fd).st_ino, set[int](), os.pwrite

    def watched(fd: int, data: bytes, at: int) -> int:
        if os.fstat(fd).st_ino == inode:
            rewritten.update(range(at, at + len(data), 4096))
        return real(fd, data, at)

    monkeypatch.setattr(os, "pwrite", watched)
    await catalog.barrier(last(catalog))
    assert len(rewritten) == len(data) // 4096
    assert os.pread(fd, len(data), 0) == data
    assert content.undurable_bytes == 0
    os.close(fd)


async def test_a_cancelled_caller_leaves_the_others_served(catalog: Catalog, held: Held) -> None:
    done: list[str] = []

    async def wait(name: str, scope: trio.CancelScope) -> None:
        with scope:
            await catalog.barrier(last(catalog))
            done.append(name)

    catalog.commit({KEY: b"1"})
    first = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "first", first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wait, "second", trio.CancelScope())
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
        await trio.testing.wait_all_tasks_blocked()
        held.let_go()
    assert done == ["second"]


async def test_a_settling_barrier_that_was_cancelled_is_made_again(catalog: Catalog, held: Held) -> None:
    """Else a fold would go on although the journal is the only place of some content."""
    content = catalog._content
    assert isinstance(content, ContentStore)
    number = ContentId(catalog.next_seq)
    os.close(content.create(number))
    content.sealed(number, catalog.commit({KEY: b"1"}), 0)
    synced: list[object] = []
    content.sync_through = synced.append  # type: ignore[method-assign]
    catalog._settle = True  # a fold asks for it, and somebody else happens to make it
    for cancel in (True, False):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(catalog.barrier, last(catalog))
            await trio.testing.wait_all_tasks_blocked()
            if cancel:
                nursery.cancel_scope.cancel()
            held.let_go()
    assert len(synced) == 1
    assert not catalog._settle


async def test_syncing_the_journal_is_shared_and_says_nothing_of_content(catalog: Catalog, held: Held) -> None:
    seq = catalog.commit({KEY: b"1"}, hot=True)
    assert not catalog.journal_durable(seq)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(catalog.sync_journal, seq)
        await trio.testing.wait_all_tasks_blocked()
        assert held.calls == ["sync"]
        held.let_go()
    assert catalog.journal_durable(seq)
    assert catalog.durable_seq < seq


async def test_there_is_room_again_when_a_fold_ends(
    catalog: Catalog, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third memtable is never begun: callers wait for the fold in progress."""
    monkeypatch.setattr(store, "FULL_BYTES", 50_000)
    catalog.commit({KEY: bytes(60_000)})
    assert not catalog.full  # large, but nothing stands in the way of a fold
    async with trio.open_nursery() as nursery:
        nursery.start_soon(catalog.fold)
        await trio.testing.wait_all_tasks_blocked()
        assert not catalog.full
        catalog.commit({OTHER: bytes(60_000)})
        assert catalog.full
        waited = trio.Event()

        async def wait() -> None:
            await catalog.room()
            waited.set()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        held.let_go()  # the barrier
        await trio.testing.wait_all_tasks_blocked()
        assert not waited.is_set()
        held.let_go()  # the fold
        await waited.wait()
    assert not catalog.full
    await catalog.room()


async def test_nobody_waits_for_room_on_a_broken_disk(
    catalog: Catalog, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FULL_BYTES", 50_000)
    catalog.commit({KEY: b"1"})
    monkeypatch.setattr(os, "fdatasync", broken)

    async def fold() -> None:
        with pytest.raises(OSError, match="syncing failed"):
            await catalog.fold()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fold)
        await trio.testing.wait_all_tasks_blocked()
        catalog.commit({OTHER: bytes(60_000)})

        async def wait() -> None:
            with pytest.raises(OSError, match="cannot be written"):
                await catalog.room()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        held.let_go()
    monkeypatch.undo()
    catalog._in_thread = trio.to_thread.run_sync
