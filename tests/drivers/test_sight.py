"""What a Plug shows of its entry, in simulated time: it ends with the session, and blames whom it must."""

import os
import threading

import pytest
import trio
import trio.testing

from onitufs.drivers.calling import Handlers, Threads
from onitufs.model.errors import AuthNeeded, Conflict, Gone, NeedsPerson, ServiceError
from onitufs.model.files import Kind


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture
def world(memory_world):
    memory_world.patience_s = 100_000.0
    return memory_world


@pytest.fixture
async def plug(world):
    plug = world.plug()
    async with world.running(plug):
        await plug.connected()
        yield plug


@pytest.fixture
def fd(tmp_path):
    fd = os.open(tmp_path / "fetched", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


async def until(condition):
    with trio.fail_after(2000.0):
        while not condition():
            await trio.sleep(0.1)


def stall(service, name):
    """Calls of that handler wait until the Event is set."""
    stuck = trio.Event()

    async def hook(what, path):
        if what == name:
            await stuck.wait()

    service.hook = hook
    return stuck


async def test_abilities_are_the_manifests(world):
    plug = world.plug()
    assert plug.can("list")
    assert not plug.can("mtime_s")


async def test_nothing_is_seen_while_not_connected(world, fd):
    plug = world.plug()
    looks = [
        lambda: plug.look((b"f",)),
        lambda: plug.list_directory(()),
        lambda: plug.digest((b"f",), Kind.FILE),
        lambda: plug.read((b"f",), "1", 0, 1),
        lambda: plug.fetch((b"f",), "1", fd, lambda _: None),
        lambda: plug.watch(None, lambda _: None),
    ]
    for look in looks:
        with pytest.raises(ServiceError, match="disk is starting: not connected"):
            await look()


async def test_connected_waits_for_the_orders_of_an_earlier_run(world):
    plug = world.plug()
    stuck = stall(world.service, "connect")
    seen = []

    async def wait():
        await plug.connected()
        seen.append(plug.health.state)

    async with world.running(plug), trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(100)
        assert seen == []
        stuck.set()
        await until(lambda: seen)
        assert seen == ["up"]
        assert [name for name, _ in await plug.list_directory(())] == []


async def test_lists_and_looks(world, plug):
    world.service.put((b"f",), b"one", mode=0o600)
    world.service.make_directory((b"d",))
    listed = dict(await plug.list_directory(()))
    assert set(listed) == {b"f", b"d"}
    assert listed[b"f"] == await plug.look((b"f",))
    assert (listed[b"f"].size, listed[b"f"].mode, listed[b"d"].kind) == (3, 0o600, Kind.DIRECTORY)
    assert await plug.look((b"no",)) is None
    with pytest.raises(Gone):
        await plug.list_directory((b"no",))
    assert plug.health.state == "up"


async def test_a_list_that_breaks_off_is_no_list(world, plug):
    for number in range(10):
        world.service.put((b"%d" % number,), b"x")
    world.service.list_fails_after = 5
    with pytest.raises(ServiceError, match="the line broke"):
        await plug.list_directory(())


async def test_reads_by_range_and_whole(world, plug, fd):
    data = bytes(range(256)) * 1000
    node = world.service.put((b"f",), data)
    assert await plug.read((b"f",), node.rev, 1000, 70_000) == data[1000:71_000]
    assert await plug.read((b"f",), node.rev, len(data) - 5, 70_000) == data[-5:]
    ticks = []
    digest = await plug.fetch((b"f",), node.rev, fd, ticks.append)
    assert os.pread(fd, len(data) + 1, 0) == data
    assert ticks[-1] == len(data)
    assert (await plug.digest((b"f",), Kind.FILE)).state.digest == digest
    with pytest.raises(Conflict):
        await plug.read((b"f",), "0", 0, 1)
    with pytest.raises(Gone):
        await plug.fetch((b"no",), "0", fd, ticks.append)


async def test_a_change_while_it_is_fetched_is_a_conflict(world, plug, fd):
    node = world.service.put((b"f",), b"1" * 200_000)

    def tick(written):
        if written < 200_000:
            world.service.edit((b"f",), b"2" * 200_000)

    with pytest.raises(Conflict):
        await plug.fetch((b"f",), node.rev, fd, tick)


async def test_a_line_that_breaks_while_reading_is_an_error(world, plug, fd):
    node = world.service.put((b"f",), b"1" * 200_000)
    world.service.read_fails_after = 100_000
    with pytest.raises(ServiceError, match="the line broke"):
        await plug.read((b"f",), node.rev, 0, 150_000)
    with pytest.raises(ServiceError, match="the line broke"):
        await plug.fetch((b"f",), node.rev, fd, lambda _: None)
    assert plug.health.state == "up"


async def test_a_fetch_shows_its_progress_and_does_not_count_as_placing(world, plug, fd):
    node = world.service.put((b"f",), b"x" * 65536 * 10)

    async def hook(what, path):
        if what == "read":
            await trio.sleep(1.0)

    world.service.hook = hook
    async with trio.open_nursery() as nursery:

        async def fetch():
            await plug.fetch((b"f",), node.rev, fd, lambda _: None, size=655_360)

        nursery.start_soon(fetch)
        await trio.sleep(5.5)
        (transfer,) = plug.transfers
        assert (transfer.what, transfer.direction, transfer.of) == ("fetch", "from", 655_360)
        assert transfer.bytes == 5 * 65536
    assert plug.transfers == []


async def test_what_tick_raises_ends_the_fetch_and_is_nobodys_bug(world, plug, fd):
    node = world.service.put((b"f",), b"x" * 200_000)

    def tick(written):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await plug.fetch((b"f",), node.rev, fd, tick)
    assert plug.health.state == "up"
    assert plug.transfers == []


async def test_what_cannot_be_written_here_is_not_the_entrys_fault(world, plug, tmp_path):
    node = world.service.put((b"f",), b"x")
    (tmp_path / "closed").write_bytes(b"")
    fd = os.open(tmp_path / "closed", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            await plug.fetch((b"f",), node.rev, fd, lambda _: None)
    finally:
        os.close(fd)
    assert plug.health.state == "up"


async def test_watch_tells_what_changes(world, plug):
    told = []

    async def tell(sighted):
        told.append(sighted)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(plug.watch, None, tell)
        await until(lambda: told)
        assert told[0].below == ((),)
        world.service.put((b"f",), b"x")
        world.service.move((b"f",), (b"g",))
        await until(lambda: len(told) > 1)
        assert set(told[1].paths) == {(b"f",), (b"g",)}
        nursery.cancel_scope.cancel()
    world.service.put((b"h",), b"x")
    cursor = told[-1].cursor
    async with trio.open_nursery() as nursery:
        nursery.start_soon(plug.watch, cursor, tell)
        await until(lambda: len(told) > 2)
        assert (told[2].paths, told[2].below) == (((b"h",),), ())
        nursery.cancel_scope.cancel()
    world.service.forget_changes()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(plug.watch, told[-1].cursor, tell)
        await until(lambda: len(told) > 3)
        assert told[3].below == ((),)
        nursery.cancel_scope.cancel()


async def test_what_tell_raises_comes_out_of_watch(world, plug):
    async def tell(sighted):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await plug.watch(None, tell)
    assert plug.health.state == "up"


async def test_all_who_look_end_with_the_session(world, plug, fd):
    node = world.service.put((b"f",), b"x")
    ends = []

    async def expect_an_end(look, *args):
        with pytest.raises(ServiceError, match="paused"):
            await look(*args)
        assert world.service.connections == 1  # not closed under its hands
        ends.append(look)

    async def tell(sighted):
        pass

    async with trio.open_nursery() as nursery:
        world.service.reads_stall = trio.Event()
        nursery.start_soon(expect_an_end, plug.read, (b"f",), node.rev, 0, 1)
        nursery.start_soon(expect_an_end, plug.fetch, (b"f",), node.rev, fd, lambda _: None)
        nursery.start_soon(expect_an_end, plug.watch, None, tell)
        await trio.testing.wait_all_tasks_blocked()
        plug.pause()
        await trio.testing.wait_all_tasks_blocked()
        assert len(ends) == 3
    assert world.service.connections == 0
    assert plug.transfers == []


async def test_stalled_readers_keep_neither_lists_nor_orders_waiting(world, plug):
    node = world.service.put((b"f",), b"x")
    world.service.reads_stall = trio.Event()
    with trio.fail_after(2000.0):
        await _while_reads_stall(world, plug, node)


async def _while_reads_stall(world, plug, node):
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(plug.read, (b"f",), node.rev, 0, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert await plug.look((b"f",)) is not None
        assert len(await plug.list_directory(())) == 1
        plug.submit(world.put(b"g", b"x"))
        await world.done()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("look", ["look", "list_directory", "read", "fetch", "watch"])
async def test_a_bug_in_a_handler_suspends_the_entry_only(world, plug, fd, look, caplog):
    world.service.put((b"f",), b"x")
    handler = {"look": "stat", "read": "get_chunk", "fetch": "get_file"}.get(look, look)
    args = {
        "look": ((b"f",),),
        "list_directory": ((),),
        "read": ((b"f",), "1", 0, 1),
        "fetch": ((b"f",), "1", fd, lambda _: None),
        "watch": (None, None),
    }
    world.fail(handler, lambda: ZeroDivisionError("oh"))
    with pytest.raises(ServiceError):
        await getattr(plug, look)(*args[look])
    await until(lambda: plug.health.state == "suspended")
    assert "ZeroDivisionError: oh" in plug.health.message
    await trio.sleep(86400)
    assert plug.health.state == "suspended"
    world.service.hook = None
    plug.resume()
    await plug.connected()
    assert plug.health.state == "up"


async def test_trouble_with_one_path_is_not_the_entrys(world, plug):
    node = world.service.put((b"f",), b"x")
    world.fail("get_chunk", lambda: ServiceError("a bad sector"))
    with pytest.raises(ServiceError, match="a bad sector"):
        await plug.read((b"f",), node.rev, 0, 1)
    world.fail("list_directory", lambda: NeedsPerson("not readable; chmod it"))
    with pytest.raises(NeedsPerson):
        await plug.list_directory(())
    await trio.sleep(1000)
    assert plug.health.state == "up"
    assert len(world.calls("connect")) == 1


async def test_trouble_with_the_root_is_the_entrys(world, plug):
    down = True

    async def hook(what, path):
        if down:
            raise ServiceError("the server is away")

    world.service.hook = hook
    with pytest.raises(ServiceError):
        await plug.list_directory(())
    await until(lambda: plug.health.state == "degraded")
    down = False
    await until(lambda: plug.health.state == "up")
    await plug.connected()
    assert len(world.calls("connect")) >= 2


async def test_who_waits_for_the_entry_hears_of_it_however_many_attempts_failed(world, plug):
    tries = 0

    async def down(what, path):
        nonlocal tries
        tries += what == "connect"
        raise ServiceError("the server is away")

    world.service.hook = down
    heard = trio.Event()

    async def wait():
        await plug.connected()
        heard.set()

    with pytest.raises(ServiceError):
        await plug.list_directory(())
    await until(lambda: not plug.is_connected)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await until(lambda: tries > 2)
        world.service.hook = None
        with trio.fail_after(300):
            await heard.wait()
    assert plug.is_connected


async def test_refused_credentials_wait_for_a_person(world, plug):
    world.fail("list_directory", lambda: AuthNeeded("the token expired; log in again"))
    with pytest.raises(AuthNeeded):
        await plug.list_directory(())
    await until(lambda: plug.health.state == "auth-needed")


# -- suspended on purpose ----------------------------------------------------------------------------------------------


async def test_a_suspended_entry_gets_no_orders_but_can_be_seen(world, plug):
    stuck = stall(world.service, "piece")
    plug.submit(first := world.put(b"f", b"x" * 1_000_000))
    await until(lambda: plug.transfers)
    plug.suspend("40 % of the files are gone", "answer it")
    await trio.testing.wait_all_tasks_blocked()
    assert plug.transfers == []
    assert plug.pending(first.file)
    stuck.set()
    plug.submit(world.put(b"g", b"y"))
    await trio.sleep(86400)
    assert world.outcomes == []
    assert world.files() == {}
    assert (plug.health.state, plug.health.message, plug.health.remedy) == (
        "suspended",
        "40 % of the files are gone",
        "answer it",
    )
    assert await plug.list_directory(()) == []
    plug.resume()
    await world.done(2)
    assert plug.health.state == "up"


async def test_a_suspension_outlives_the_session(world, plug):
    plug.suspend("why", "what")
    plug.submit(world.put(b"g", b"y"))
    down = True
    world.fail("stat", lambda: ServiceError("away") if down else None)
    with pytest.raises(ServiceError):
        await plug.look(())
    await until(lambda: plug.health.state == "degraded")
    down = False
    await until(lambda: plug.health.state == "suspended")
    assert (plug.health.message, world.outcomes) == ("why", [])
    plug.resume()
    await world.done()


# -- what hangs --------------------------------------------------------------------------------------------------------


class Hanging:
    """A driver on a disk that answers no more."""

    def __init__(self):
        self.entered = threading.Event()
        self.released = threading.Event()

    def stat(self, path):
        self.entered.set()
        self.released.wait()

    list_directory = stat

    def get_chunk(self, path, rev, offset, length):
        self.stat(path)


@pytest.mark.parametrize(
    ("name", "args"), [("stat", ((b"f",),)), ("list_directory", ((),)), ("get_chunk", ((b"f",), "1", 0, 1))]
)
def test_nobody_waits_for_a_look_that_hangs(name, args):
    driver = Hanging()

    async def look():
        handlers = Handlers(driver, Threads(1))
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(handlers.look, name, *args)
                await trio.to_thread.run_sync(driver.entered.wait)
                nursery.cancel_scope.cancel()

    try:
        trio.run(look)
    finally:
        driver.released.set()


async def test_of_many_looks_one_that_fails_keeps_no_other_from_its_answer(world, plug):
    world.service.put((b"f",), b"x")

    async def hook(what, path):
        if what == "stat" and path == (b"bad",):
            raise Conflict("odd")

    world.service.hook = hook
    found, bad, none = await plug.look_at([(b"f",), (b"bad",), (b"none",)])
    assert (found, none) == (await plug.look((b"f",)), None)
    assert isinstance(bad, Conflict)
    assert plug.health.state == "up"
