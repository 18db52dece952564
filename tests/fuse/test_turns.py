"""Who reads the next request: quickly where nobody waits, and never at the price of anybody who does."""

import os
import threading
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing

from onitufs.fuse.turns import IN_A_ROW, Turns

from .mounted import Mounted


def test_pyfuse3_takes_turns_our_way(mounted: Mounted, here: Path) -> None:
    """It is replaced behind pyfuse3's back: should that stop to work, everything goes on at half the speed."""
    before = mounted.call("read_s")
    assert not (here / "absent").exists()
    assert mounted.call("read_s") > before


def test_the_daemons_own_work_goes_on_under_load(mounted: Mounted, here: Path) -> None:
    stop = threading.Event()

    def hammer(name: str) -> None:
        number = 0
        while not stop.is_set():
            os.path.exists(here / f"{name}{number}")
            number += 1

    hammers = [threading.Thread(target=hammer, args=(name,)) for name in "abcd"]
    for one in hammers:
        one.start()
    try:
        for _ in range(20):
            mounted.call("waiting")
        with open(here / "file", "wb") as file:
            file.write(b"x")
            os.fsync(file.fileno())
    finally:
        stop.set()
        for one in hammers:
            one.join()


def test_the_session_ends_with_requests_under_way(mount: Callable[..., Mounted]) -> None:
    mounted = mount().start()
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            os.path.exists(mounted.root / "absent")

    one = threading.Thread(target=hammer)
    one.start()
    try:
        assert mounted.end() == 0, mounted.logged()
    finally:
        stop.set()
        one.join()


class _Reader:
    """What pyfuse3's session loop does with the lock."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.log: list[str] = []

    async def read(self, name: str, fd: int, requests: int, handle: Callable[[str], trio.Event | None]) -> None:
        for _ in range(requests):
            async with self.turns:
                await self.turns.wait_readable(fd)
            os.read(fd, 1)
            self.log.append(name)
            stuck = handle(name)
            if stuck is not None:
                await stuck.wait()


@pytest.fixture
async def pipe() -> AsyncIterator[tuple[_Reader, int, int]]:
    """A reader, and the two ends of what it reads from."""
    turns = Turns()
    trio.lowlevel.add_instrument(turns)
    source, sink = os.pipe()
    yield _Reader(turns), source, sink
    os.close(source)
    os.close(sink)
    trio.lowlevel.remove_instrument(turns)


async def test_one_task_answers_what_is_there_without_waiting(pipe: tuple[_Reader, int, int]) -> None:
    reader, source, sink = pipe
    os.write(sink, b"x" * IN_A_ROW)
    await reader.read("a", source, IN_A_ROW, lambda name: None)
    assert reader.turns.taken == IN_A_ROW


async def test_others_get_their_turn_after_a_few_requests(pipe: tuple[_Reader, int, int]) -> None:
    reader, source, sink = pipe
    os.write(sink, b"x" * 10 * IN_A_ROW)
    seen: list[int] = []

    async def other() -> None:
        for _ in range(5):
            seen.append(len(reader.log))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.read, "a", source, 10 * IN_A_ROW, lambda name: None)
        nursery.start_soon(other)
    at_most = 2 * (IN_A_ROW + 1)  # trio shuffles who steps first, so two turns may meet
    assert all(later - earlier <= at_most for earlier, later in pairwise(seen))


async def test_when_a_handler_waits_another_task_reads_on(pipe: tuple[_Reader, int, int]) -> None:
    reader, source, sink = pipe
    answer = trio.Event()

    def first_is_stuck(name: str) -> trio.Event | None:
        return answer if len(reader.log) == 1 else None

    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(reader.read, name, source, 3, first_is_stuck)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(7):  # all but the two that the stuck one has left
            os.write(sink, b"x")
            await trio.testing.wait_all_tasks_blocked()
        stuck = reader.log[0]
        assert stuck not in reader.log[1:]
        assert len(reader.log) == 7
        answer.set()
        os.write(sink, b"xx")
    assert reader.log[7:] == [stuck, stuck]


async def test_who_is_cancelled_while_waiting_is_passed_over(pipe: tuple[_Reader, int, int]) -> None:
    reader, source, sink = pipe
    scopes = {name: trio.CancelScope() for name in ("a", "b")}

    async def read(name: str) -> None:
        with scopes[name]:
            await reader.read(name, source, 1, lambda name: None)

    async with trio.open_nursery() as nursery:
        for name in scopes:
            nursery.start_soon(read, name)
        await trio.testing.wait_all_tasks_blocked()
        scopes["a"].cancel()
        await trio.testing.wait_all_tasks_blocked()
        os.write(sink, b"x")
    assert reader.log == ["b"]
