"""Whose turn it is."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from onitufs.drivers.queue import Line, OrderQueue
from onitufs.model.copies import Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.model.orders import Put


def put(file: int, size: int = 10, generation: int = 1) -> Put:
    return Put(
        entry=EntryName("e"), file=FileId(file), kind=Kind.FILE, place=Place(ROOT_FILE, b"%d" % file),
        generation=GenerationId(generation), size=size, mtime_ns=0, mode=0,
    )  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def new_queue(clock: Clock) -> OrderQueue:
    return OrderQueue(clock, lambda order: (Line.SMALL, order.size))


def picked(queue: OrderQueue, count: int) -> list[int]:
    return [job.order.file for _ in range(count) if (job := queue.pick(Line.SMALL)) is not None]


def test_small_ones_first_and_of_these_the_last_that_came():
    queue = new_queue(Clock())
    for file, size in ((1, 10), (2, 50_000_000), (3, 20), (4, 3_000_000)):
        queue.add(put(file, size))
    assert picked(queue, 3) == [3, 1, 4]


def test_a_large_one_has_its_turn_however_many_small_ones_come():
    queue = new_queue(Clock())
    queue.add(put(1, 10**12))
    turns = 0
    for file in range(2, 1000):
        queue.add(put(file))
        queue.add(put(file + 10_000))
        turns += 1
        if picked(queue, 1) == [1]:
            break
    assert turns <= 4


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_each_waits_for_at_most_four_picks_for_each_one_that_came_before(sizes):
    queue = new_queue(Clock())
    for number, size in enumerate(sizes):
        queue.add(put(100 + number, size))
    order = []
    for newcomer in range(4 * len(sizes)):
        order += picked(queue, 1)
        queue.add(put(100_000 + newcomer, 0))
    places = {file: place for place, file in enumerate(order)}
    for number in range(len(sizes)):
        assert places[100 + number] < 4 * (number + 1)


def test_a_newer_order_takes_the_place_of_the_queued_one_and_its_age():
    queue = new_queue(Clock())
    queue.add(put(1, 10**9))
    queue.add(put(2))
    queue.add(put(3))
    queue.add(put(4))
    for generation in range(2, 9):
        queue.add(put(1, 10**9, generation))
    assert len(queue) == 4
    jobs = [queue.pick(Line.SMALL) for _ in range(5)]
    assert [job and job.order.file for job in jobs] == [4, 3, 2, 1, None]
    assert jobs[3].order == put(1, 10**9, 8)


def test_a_delayed_one_waits_and_holds_nobody_up():
    clock = Clock()
    queue = new_queue(clock)
    queue.add(put(1))
    job = queue.pick(Line.SMALL)
    queue.delay(job, 10.0)
    queue.add(put(2))
    assert picked(queue, 2) == [2]
    assert queue.next_due() == 10.0
    clock.now = 10.0
    assert picked(queue, 1) == [1]
    assert queue.next_due() is None


def test_a_newer_order_ends_a_delay():
    queue = new_queue(Clock())
    queue.add(put(1))
    queue.delay(queue.pick(Line.SMALL), 10.0)
    queue.add(put(1, generation=2))
    assert picked(queue, 2) == [1]


def test_a_blocked_one_is_not_picked_until_it_is_ready():
    queue = new_queue(Clock())
    job = queue.add(put(1))
    assert picked(queue, 1) == [1]
    queue.block(job)
    assert picked(queue, 1) == []
    queue.ready(job)
    assert picked(queue, 1) == [1]
    queue.ready(job)
    assert picked(queue, 1) == []


def test_withdrawn_is_withdrawn():
    queue = new_queue(Clock())
    queue.add(put(1))
    queue.withdraw(FileId(1))
    assert len(queue) == 0
    assert picked(queue, 1) == []


def test_a_file_saved_for_ever_does_not_fill_the_memory():
    queue = new_queue(Clock())
    for generation in range(5000):
        queue.add(put(1, generation=generation))
    held = sum(len(heap) for heaps in (queue._best, queue._oldest) for heap in heaps.values())
    assert held < 200
    assert dataclasses.replace(put(1), generation=GenerationId(4999)) == queue.pick(Line.SMALL).order
