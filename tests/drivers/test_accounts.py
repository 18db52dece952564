"""What a service says of how often an account may use it holds for all entries of the account, in simulated time."""

import pytest
import trio
import trio.testing

from onitufs.drivers.accounts import Accounts
from onitufs.model.errors import ServiceError


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture
def worlds(memory_world_class, tmp_path):
    """Two entries, with an account each."""
    found = [memory_world_class(tmp_path / name) for name in ("a", "b")]
    for number, world in enumerate(found):
        world.patience_s = 100_000.0
        world.service.account = f"account {number}"
    return found


async def until(condition):
    with trio.fail_after(100_000):
        while not condition():
            await trio.sleep(1.0)


class Limited:
    """Refuses one call of a handler, and notes when each of the later calls of any handler comes."""

    def __init__(self, world, name, retry_after_s):
        self.at = None
        self.later = []
        self._name = name
        self._retry_after_s = retry_after_s
        world.service.hook = self

    async def __call__(self, what, path):
        if self.at is not None:
            self.later.append(trio.current_time())
        elif what == self._name:
            self.at = trio.current_time()
            raise ServiceError("slow down", retry_after_s=self._retry_after_s)


def watched(world):
    """The times of all calls."""
    times = []

    async def hook(what, path):
        times.append(trio.current_time())

    world.service.hook = hook
    return times


async def test_one_entry_is_told_to_wait_and_all_of_the_account_do(worlds):
    one, other = worlds
    one.service.account = other.service.account = "somebody@example.org"
    accounts = Accounts()
    limited = Limited(one, "upload_file", 120.0)
    plug, beside = (world.plug(accounts=accounts) for world in worlds)
    async with one.running(plug), other.running(beside):
        await plug.connected()
        await beside.connected()
        plug.submit(one.put(b"f", b"x"))
        await until(lambda: limited.at is not None)
        times = watched(other)
        beside.submit(other.put(b"g", b"y"))
        await trio.sleep(60)
        for entry in (plug, beside):
            assert entry.health.state == "degraded"
            assert entry.health.message.startswith("rate limited by the service until ")
        await one.done()
        await other.done()
        assert limited.at + 120 <= min(limited.later)
        assert limited.at + 120 <= min(times) <= limited.at + 160
        await until(lambda: plug.health.state == beside.health.state == "up")
    assert one.files()
    assert other.files()


async def test_another_account_is_of_no_concern(worlds):
    one, other = worlds
    accounts = Accounts()
    limited = Limited(one, "upload_file", 600.0)
    plug, beside = (world.plug(accounts=accounts) for world in worlds)
    async with one.running(plug), other.running(beside):
        await plug.connected()
        await beside.connected()
        plug.submit(one.put(b"f", b"x"))
        await until(lambda: limited.at is not None)
        beside.submit(other.put(b"g", b"y"))
        await other.done()
        assert beside.health.state == "up"
        assert plug.health.state == "degraded"


async def test_what_looks_waits_too(worlds):
    world = worlds[0]
    plug = world.plug()
    async with world.running(plug):
        await plug.connected()
        limited = Limited(world, "list_directory", 50.0)
        with pytest.raises(ServiceError):
            await plug.list_directory(())
        await plug.look(())
        assert limited.later[-1] >= limited.at + 50


async def test_the_session_outlives_a_limit(worlds):
    world = worlds[0]
    limited = Limited(world, "upload_file", 120.0)
    plug = world.plug()
    async with world.running(plug):
        await plug.connected()
        await trio.testing.wait_all_tasks_blocked()  # what it asks at the start would come in the same instant
        plug.submit(world.put(b"f", b"x"))
        await world.done()
        assert min(limited.later) >= limited.at + 120
    assert len(world.calls("connect")) == 1


async def test_a_limit_at_connecting_is_said_and_obeyed(worlds):
    world = worlds[0]
    limited = Limited(world, "connect", 300.0)
    plug = world.plug()
    async with world.running(plug):
        await until(lambda: plug.health.state == "degraded")
        assert plug.health.message.startswith("rate limited by the service until ")
        await plug.connected()
        assert limited.later[0] >= limited.at + 300


async def test_a_person_can_have_it_tried_at_once(worlds):
    world = worlds[0]
    limited = Limited(world, "upload_file", 3600.0)
    plug = world.plug()
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        await until(lambda: limited.at is not None)
        await trio.sleep(10)
        plug.resume()
        await world.done()
        assert limited.later[0] < limited.at + 60
        await until(lambda: plug.health.state == "up")
