"""Programs go first: what is done for them in the background takes a small part of the time, whoever does it."""

import pytest
import trio
import trio.testing

from onitufs.daemon.pacing import LONGEST_REST_S, QUIET_S, REST, Pacing
from onitufs.drivers.progress import GLANCE_S, rest


class World:
    def __init__(self):
        self.now_s = self.asked_s = 1000.0
        self.pacing = Pacing(lambda: self.asked_s, lambda: self.now_s)


@pytest.fixture
def world():
    return World()


def test_nobody_rests_while_no_program_is_at_work(world):
    world.now_s += QUIET_S + 0.01
    assert world.pacing.rest_s(0.5) == 0


def test_nobody_rests_while_somebody_waits(world):
    world.pacing.hurried = True
    assert world.pacing.rest_s(0.5) == 0


def test_one_rests_for_what_it_did(world):
    assert world.pacing.rest_s(0.01) == pytest.approx(REST * 0.01)


def test_several_rest_for_what_all_of_them_did(world):
    assert [world.pacing.rest_s(0.01) for _ in range(3)] == pytest.approx([REST * 0.01 * n for n in (1, 2, 3)])
    world.now_s = world.asked_s = world.now_s + REST * 0.03
    assert world.pacing.rest_s(0.01) == pytest.approx(REST * 0.01)


def test_no_rest_is_long_however_much_was_done(world):
    for _ in range(5):
        assert world.pacing.rest_s(10.0) == LONGEST_REST_S


def test_a_pause_of_the_programs_ends_what_is_left_to_rest_for(world):
    world.pacing.rest_s(10.0)
    world.now_s += QUIET_S + 0.01
    world.pacing.rest_s(0.01)
    world.asked_s = world.now_s
    assert world.pacing.rest_s(0.01) == pytest.approx(REST * 0.01)


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def test_a_rest_is_taken_while_programs_are_at_work():
    pacing = Pacing(trio.current_time, trio.current_time)  # one asks at every moment
    began_s = trio.current_time()
    await rest(pacing.rest_s, 0.1)
    assert trio.current_time() - began_s == pytest.approx(REST * 0.1)


async def test_a_rest_ends_when_programs_pause():
    last_s = trio.current_time()
    await rest(Pacing(lambda: last_s, trio.current_time).rest_s, 10.0)
    assert trio.current_time() - last_s <= QUIET_S + 2 * GLANCE_S


async def test_a_rest_ends_when_somebody_waits():
    pacing = Pacing(trio.current_time, trio.current_time)
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rest, pacing.rest_s, 10.0)
        await trio.testing.wait_all_tasks_blocked()
        pacing.hurried = True
    assert trio.current_time() - began_s <= GLANCE_S
