"""What goes on by itself: barriers, folds and unlinking, in simulated time."""

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from onitufs.catalog import keys, store
from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.model.ids import ContentId, Seq

KEY = keys.meta("key")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def last(catalog: Catalog) -> Seq:
    return Seq(catalog.next_seq - 1)


def broken(fd: int) -> None:
    raise OSError(5, "Input/output error")


async def test_the_background_makes_durable_folds_and_collects(catalog: Catalog) -> None:
    """Within seconds of a change, without anybody asking, and not at all while nothing changes."""
    calls: list[str] = []

    async def at_once(function: Callable[..., Any], /, *args: Any) -> Any:
        calls.append(function.__name__)
        return function(*args)

    catalog._in_thread = at_once
    content = catalog._content
    assert isinstance(content, ContentStore)
    async with trio.open_nursery() as nursery:
        await nursery.start(catalog.run)
        await trio.sleep(1000)
        assert calls == []
        number = ContentId(catalog.next_seq)
        os.close(content.create(number))
        content.let_go(number, catalog.commit({KEY: b"1"}))
        start = trio.current_time()
        durable = trio.Event()
        catalog.on_durable = lambda seq: durable.set()
        await durable.wait()
        assert trio.current_time() - start <= store.BARRIER_EVERY_S
        await trio.sleep(store.COLLECT_EVERY_S)
        assert list(content.ids()) == []
        await trio.sleep(store.FOLD_EVERY_S)
        assert catalog._table.get(KEY) == b"1"
        os.close(content.create(number))
        content.let_go(number, catalog.durable_seq)  # a stray: nothing else has changed
        catalog.request_barrier()
        await trio.sleep(store.COLLECT_EVERY_S)
        assert list(content.ids()) == []
        catalog.commit({KEY: b"2"})
        catalog.request_barrier()
        await trio.testing.wait_all_tasks_blocked()
        assert catalog.durable_seq == last(catalog)
        nursery.cancel_scope.cancel()


async def test_the_background_outlives_a_disk_that_fails_for_a_while(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(function: Callable[..., Any], /, *args: Any) -> Any:
        return function(*args)

    catalog._in_thread = at_once
    async with trio.open_nursery() as nursery:
        await nursery.start(catalog.run)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", broken)
            seq = catalog.commit({KEY: b"1"})
            await trio.sleep(100)
            assert catalog.durable_seq < seq
        await trio.sleep(100)
        assert catalog.durable_seq == seq
        assert catalog._table.get(KEY) == b"1"
        nursery.cancel_scope.cancel()


async def test_a_fold_is_begun_when_much_has_gathered(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    folded = threading.Event()

    async def at_once(function: Callable[..., Any], /, *args: Any) -> Any:
        if function.__name__ == "_fold_in_thread":
            folded.set()
        return function(*args)

    catalog._in_thread = at_once
    async with trio.open_nursery() as nursery:
        await nursery.start(catalog.run)
        for _ in range(store.FOLD_BYTES // 60_000):
            catalog.commit({KEY: bytes(60_000)})
        await trio.testing.wait_all_tasks_blocked()
        assert not folded.is_set()
        for _ in range(2):
            catalog.commit({KEY: bytes(60_000)})
        await trio.testing.wait_all_tasks_blocked()
        assert folded.is_set()
        nursery.cancel_scope.cancel()
