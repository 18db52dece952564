"""The queue of names to invalidate: bounded, without duplicates, in order, one at a time, in a thread of its own."""

import threading
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from onitufs.fuse.invalidation import Invalidator
from onitufs.model.ids import InodeNumber

ROOT = InodeNumber(1)


class Kernel:
    """Stands in for the kernel: takes each call only when let."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.threads: set[str] = set()
        self.busy = threading.Event()
        self.go = threading.Semaphore(0)

    def __call__(self, parent: int, name: bytes) -> None:
        self.threads.add(threading.current_thread().name)
        self.busy.set()
        self.go.acquire()
        self.told.append(name)
        if name == b"unknown":
            raise FileNotFoundError
        if name == b"bug":
            raise ZeroDivisionError


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def invalidator(kernel: Kernel) -> Iterator[Invalidator]:
    one = Invalidator(capacity=3, invalidate=kernel)
    yield one
    kernel.go.release(1000)
    assert one.close()


async def test_names_go_out_in_order_and_without_duplicates(kernel: Kernel, invalidator: Invalidator) -> None:
    invalidator.invalidate_entry(ROOT, b"first")
    await trio.to_thread.run_sync(kernel.busy.wait)
    for name in (b"a", b"b", b"a", b"b"):
        assert invalidator.invalidate_entry(ROOT, name)
    kernel.go.release(10)
    await invalidator.drained()
    assert kernel.told == [b"first", b"a", b"b"]
    assert kernel.threads == {"invalidation"}


async def test_a_name_that_changes_while_it_is_told_is_told_again(kernel: Kernel, invalidator: Invalidator) -> None:
    invalidator.invalidate_entry(ROOT, b"a")
    await trio.to_thread.run_sync(kernel.busy.wait)
    invalidator.invalidate_entry(ROOT, b"a")
    kernel.go.release(10)
    await invalidator.drained()
    assert kernel.told == [b"a", b"a"]


async def test_a_full_queue_says_so_and_room_is_waited_for(kernel: Kernel, invalidator: Invalidator) -> None:
    invalidator.invalidate_entry(ROOT, b"under way")
    await trio.to_thread.run_sync(kernel.busy.wait)
    assert all(invalidator.invalidate_entry(ROOT, name) for name in (b"1", b"2", b"3"))
    assert invalidator.full
    assert not invalidator.invalidate_entry(ROOT, b"4")
    assert invalidator.invalidate_entry(ROOT, b"2"), "it waits already"
    kernel.go.release(1)
    await invalidator.room()
    assert invalidator.invalidate_entry(ROOT, b"4")
    kernel.go.release(10)
    await invalidator.drained()
    assert kernel.told == [b"under way", b"1", b"2", b"3", b"4"]


async def test_what_the_kernel_says_ends_nothing(kernel: Kernel, invalidator: Invalidator) -> None:
    kernel.go.release(10)
    for name in (b"unknown", b"bug", b"fine"):
        invalidator.invalidate_entry(ROOT, name)
    await invalidator.drained()
    assert kernel.told == [b"unknown", b"bug", b"fine"]


async def test_close_frees_who_waits(kernel: Kernel, invalidator: Invalidator) -> None:
    invalidator.invalidate_entry(ROOT, b"a")
    await trio.to_thread.run_sync(kernel.busy.wait)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(invalidator.drained)
        await trio.testing.wait_all_tasks_blocked()
        assert not await trio.to_thread.run_sync(invalidator.close, 0.0), "it sits in the kernel"
