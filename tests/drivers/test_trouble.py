"""What a running Plug does when its service fails, in simulated time."""

import itertools

import pytest
import trio
import trio.testing

from onitufs.model.copies import Place
from onitufs.model.errors import AuthNeeded, NeedsPerson, QuotaFull, ServiceError, TooLarge
from onitufs.model.files import Kind
from onitufs.model.ids import FileId
from onitufs.model.orders import Done, Failed


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture
def world(memory_world):
    memory_world.patience_s = 100_000.0
    return memory_world


async def until(condition, within_s=100_000.0):
    """Wait in simulated time, by the second."""
    with trio.fail_after(within_s):
        while not condition():
            await trio.sleep(1.0)


async def test_an_outage_is_waited_out_without_a_flood(world):
    plug = world.plug()
    down = True
    world.fail("upload_file", lambda: ServiceError("the server is away") if down else None)
    async with world.running(plug):
        for number in range(50):
            plug.submit(world.put(b"%d" % number, b"x"))
        await until(lambda: plug.health.state == "degraded")
        assert plug.health.message == "the server is away"
        began = trio.current_time()
        await trio.sleep(3600)
        assert trio.current_time() - began >= 3600
        assert world.outcomes == []
        # an hour: backoffs of up to 5 minutes, one probe each, and not 50 files each
        assert len(world.calls("upload_file")) < 150
        assert all(reason == "the server is away" for reason, _ in plug.problems().values())
        down = False
        await world.done(50)
        assert plug.health.state == "up"
        assert plug.problems() == {}
    assert len(world.files()) == 50


async def test_retry_after_is_obeyed(world):
    plug = world.plug()
    times = []

    def limited():
        times.append(trio.current_time())
        return ServiceError("slow down", retry_after_s=120.0) if len(times) < 3 else None

    world.fail("upload_file", limited)
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        await world.done()
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert all(120.0 <= wait <= 160.0 for wait in waits), waits


async def test_one_bad_file_does_not_hold_up_the_others(world):
    plug = world.plug()

    async def hook(what, path):
        if what == "upload_file" and path == (b"bad",):
            raise ServiceError("500 for this one")

    world.service.hook = hook
    async with world.running(plug):
        plug.submit(bad := world.put(b"bad", b"x"))
        for number in range(100):
            plug.submit(world.put(b"%d" % number, b"x"))
            await trio.sleep(5)
        await world.done(100)
        assert plug.problems() == {bad.file: ("500 for this one", "nothing to do: it is tried again by itself")}
        assert len(world.calls("upload_file")) < 200


async def test_a_running_transfer_is_not_ended_by_anothers_trouble(world):
    plug = world.plug()
    slow_is_through = trio.Event()

    async def hook(what, path):
        if what == "piece" and path == (b"slow",):
            await slow_is_through.wait()
        if what == "upload_file" and path == (b"bad",):
            raise ServiceError("no")

    world.service.hook = hook
    async with world.running(plug):
        plug.submit(world.put(b"slow", b"x" * 1_000_000))
        await trio.testing.wait_all_tasks_blocked()
        plug.submit(world.put(b"bad", b"x"))
        await until(lambda: plug.health.state == "degraded")
        plug.submit(world.put(b"other", b"x"))
        (done,) = await world.done()
        assert done.order.place.name == b"other"
        slow_is_through.set()
        (done,) = await world.done()
        assert done.order.place.name == b"slow"
    assert len([call for call in world.calls("upload_file") if call[1] == (b"slow",)]) == 1


async def test_free_space_is_asked_again_when_something_did_not_fit(world):
    world.service.limit = 1000
    plug = world.plug()
    async with world.running(plug):
        await plug.connected()
        await trio.testing.wait_all_tasks_blocked()
        assert (plug.space.free, plug.space.total) == (1000, 1000)
        world.service.put((b"theirs",), b"x" * 900)
        plug.submit(world.put(b"f", b"x" * 200))
        await until(lambda: plug.health.state == "full")
        assert plug.space.free == 100
        world.service.delete((b"theirs",))
        await until(lambda: plug.space.free == 800)


async def test_an_entry_that_cannot_say_what_is_free_is_well(world):
    world.fail("free_space", lambda: ServiceError("no such thing here"))
    plug = world.plug()
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        await world.done()
        assert plug.space.free is None
        assert plug.health.state == "up"


async def test_credentials_that_fail_are_not_tried_on_while_something_runs(world):
    """Other work may still end; nothing new is begun, as too many failures would lock the account."""
    plug = world.plug()
    slow_is_through = trio.Event()

    async def hook(what, path):
        if what == "piece" and path == (b"slow",):
            await slow_is_through.wait()
        if what == "upload_file" and path != (b"slow",):
            raise AuthNeeded("the key was withdrawn; run: onitufs auth login disk")

    world.service.hook = hook
    async with world.running(plug):
        plug.submit(world.put(b"slow", b"x" * 1_000_000))
        await trio.testing.wait_all_tasks_blocked()
        plug.submit(world.put(b"f", b"x"))
        await until(lambda: plug.health.state == "auth-needed")
        plug.submit(world.put(b"g", b"x"))
        await trio.sleep(3600)
        assert len(world.calls("upload_file")) == 2
        slow_is_through.set()
        await world.done()
        await trio.sleep(3600)
        assert len(world.calls("upload_file")) == 2
        assert plug.health.state == "auth-needed"
        assert plug.health.remedy == "run: onitufs auth login disk"
        world.service.hook = None
        plug.resume()
        await world.done(2)
        assert plug.health.state == "up"


async def test_full_holds_up_what_needs_space_and_nothing_else(world):
    plug = world.plug()
    async with world.running(plug):
        plug.submit(old := world.put(b"old", b"x" * 100))
        await world.done()
        world.service.limit = 150
        plug.submit(world.put(b"new", b"y" * 100))
        await until(lambda: plug.health.state == "full")
        assert plug.health.remedy == "delete something"
        for number in range(20):
            plug.submit(world.put(b"%d" % number, b"z" * 60))
        uploads = len(world.calls("upload_file"))
        plug.submit(world.delete(old.file))
        (done,) = await world.done()
        assert done.order.file == old.file
        assert len(world.calls("upload_file")) <= uploads + 1
        world.service.limit = None
        await world.done(21)
        assert plug.health.state == "up"


async def test_credentials_wait_for_a_person(world):
    plug = world.plug()
    wrong = True
    world.fail("connect", lambda: AuthNeeded("the token is revoked; run `onitufs entry login`") if wrong else None)
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        await until(lambda: plug.health.state == "auth-needed")
        assert plug.health.remedy == "run `onitufs entry login`"
        await trio.sleep(86400)
        assert len(world.calls("connect")) == 1
        wrong = False
        plug.resume()
        await world.done()
        assert plug.health.state == "up"


async def test_another_place_suspends_the_entry_until_it_is_right_again(world):
    world.identity = "memory:the right one"
    plug = world.plug()
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        await until(lambda: plug.health.state == "suspended")
        assert plug.health.remedy == "correct the setup"
        await trio.sleep(3600)
        assert 5 < len(world.calls("connect")) < 100
        assert world.files() == {}
        world.service.identity = "memory:the right one"
        await world.done()


async def test_what_one_file_needs_a_person_for_leaves_the_entry_up(world):
    plug = world.plug()

    async def hook(what, path):
        if what == "upload_file" and path == (b"locked",):
            raise NeedsPerson("no permission for locked; chown it")

    world.service.hook = hook
    async with world.running(plug):
        plug.submit(locked := world.put(b"locked", b"x"))
        await until(lambda: plug.problems())
        plug.submit(world.put(b"f", b"x"))
        await world.done()
        assert plug.health.state == "up"
        assert plug.problems() == {locked.file: ("no permission for locked", "chown it")}


async def test_a_bug_suspends_its_entry_and_no_other(world, tmp_path, caplog):
    sibling = type(world)(tmp_path / "sibling")
    plug, other = world.plug(), sibling.plug()
    world.fail("upload_file", lambda: ZeroDivisionError("oh"))
    async with world.running(plug), sibling.running(other):
        plug.submit(world.put(b"f", b"x"))
        await until(lambda: plug.health.state == "suspended")
        assert "ZeroDivisionError: oh" in plug.health.message
        assert "ZeroDivisionError" in caplog.text
        other.submit(sibling.put(b"f", b"x"))
        await sibling.done()
        await trio.sleep(86400)
        assert len(world.calls("upload_file")) == 1
        world.service.hook = None
        plug.resume()
        await world.done()
    assert world.files() == {(b"f",): b"x"}


async def test_a_bug_in_the_report_is_the_entrys_too(world):
    plug = world.plug()

    def broken(outcome):
        raise KeyError("daemon")

    world.on_report = broken
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        await until(lambda: plug.health.state == "suspended")


async def test_a_permanent_refusal_is_told_once(world):
    plug = world.plug()
    world.fail("upload_file", lambda: TooLarge("at most 5 GB"))
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        (failed,) = await world.ended()
        await trio.sleep(86400)
        assert isinstance(failed, Failed)
        assert (failed.again, failed.stale) == (False, False)
        assert plug.health.state == "up"
    assert len(world.calls("upload_file")) == 1


async def test_a_local_read_error_is_not_the_services_fault(world):
    plug = world.plug()
    broken = True

    class Source:
        size = 1

        def read(self, offset, length):
            if broken:
                raise OSError(5, "Input/output error")
            return b"x"

        def close(self):
            pass

    world.new_source = lambda order: Source()
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"x"))
        await until(lambda: plug.problems())
        assert plug.health.state == "up"
        assert "local store" in plug.problems()[first.file][0]
        broken = False
        await world.done()


async def test_pause_lets_go_of_the_service_and_resume_goes_on(world):
    plug = world.plug()
    stuck = trio.Event()

    async def hook(what, path):
        if what == "piece":
            await stuck.wait()

    async with world.running(plug):
        world.service.hook = hook
        plug.submit(first := world.put(b"f", b"x" * 1_000_000))
        await trio.testing.wait_all_tasks_blocked()
        assert plug.transfers[0].bytes > 0
        assert world.service.connections == 1
        plug.pause()
        await trio.testing.wait_all_tasks_blocked()
        assert plug.health.state == "paused"
        assert world.service.connections == 0
        assert plug.pending(first.file)
        assert plug.transfers == []
        plug.submit(world.put(b"g", b"y"))
        await trio.sleep(3600)
        assert world.outcomes == []
        stuck.set()
        plug.resume()
        await world.done(2)
        assert plug.health.state == "up"
    assert set(world.files()) == {(b"f",), (b"g",)}


async def test_paused_before_it_ran(world):
    plug = world.plug()
    plug.pause()
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        await trio.sleep(3600)
        assert world.calls("connect") == []
        plug.resume()
        await world.done()


async def test_cancelled_in_the_middle_nothing_is_left_open(world):
    plug = world.plug()

    async def hook(what, path):
        if what == "piece":
            await trio.sleep_forever()

    world.service.hook = hook
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"x" * 1_000_000))
        await trio.testing.wait_all_tasks_blocked()
        assert plug.transfers
    assert world.service.connections == 0
    assert [source.closed for source in world.sources] == [1]
    assert plug.pending(first.file)
    assert world.files() == {}


async def test_progress_is_counted(world):
    plug = world.plug()

    async def hook(what, path):
        if what == "piece":
            await trio.sleep(1.0)

    world.service.hook = hook
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x" * 65536 * 10))
        await trio.sleep(5.5)
        (transfer,) = plug.transfers
        assert (transfer.what, transfer.of) == ("put", 655_360)
        assert 4 * 65536 <= transfer.bytes <= 7 * 65536
        assert 50_000 < transfer.bytes_per_s < 90_000
        await world.done()
    assert plug.transfers == []


async def test_large_files_leave_a_lane_for_small_ones(world):
    plug = world.plug(lanes=3)
    stuck = trio.Event()

    async def hook(what, path):
        if what == "upload_file" and path[0].startswith(b"large"):
            await stuck.wait()

    world.service.hook = hook
    async with world.running(plug):
        for number in range(5):
            plug.submit(world.put(b"large%d" % number, b"x" * 1_000_000))
        await trio.testing.wait_all_tasks_blocked()
        plug.submit(world.put(b"small", b"x"))
        (done,) = await world.done()
        assert done.order.place.name == b"small"
        stuck.set()
        await world.done(5)


async def test_the_identity_is_remembered_once(world):
    seen = []
    plug = world.plug()
    plug._remember_identity = seen.append
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        await world.done()
        plug.pause()
        await trio.testing.wait_all_tasks_blocked()
        plug.resume()
        plug.submit(world.put(b"g", b"x"))
        await world.done()
    assert seen == [world.service.identity]


async def test_digest_rereads(world):
    plug = world.plug()
    async with world.running(plug):
        with pytest.raises(ServiceError):
            await plug.digest((b"f",), Kind.FILE)
        plug.submit(world.put(b"f", b"x"))
        (done,) = await world.done()
        assert isinstance(done, Done)
        found = await plug.digest((b"f",), Kind.FILE)
        assert found.state.digest == done.state.digest
        world.service.nodes[(b"f",)].data = b"rot"
        assert (await plug.digest((b"f",), Kind.FILE)).state.digest != done.state.digest
        assert await plug.digest((b"no",), Kind.FILE) is None


async def test_probe_without_running(world):
    plug = world.plug()
    await plug.probe()
    world.fail("probe", lambda: QuotaFull("full; delete something"))
    with pytest.raises(QuotaFull):
        await plug.probe()


async def test_the_same_stale_order_again_and_again_is_not_a_busy_loop(world):
    plug = world.plug()
    lost = FileId(77)
    order = world.put(b"f", b"x", place=Place(lost, b"f"), missing=())

    def insist(outcome):
        plug.submit(order)

    world.on_report = insist
    async with world.running(plug):
        plug.submit(order)
        began = trio.current_time()
        with trio.move_on_after(3600):
            await trio.sleep_forever()
        assert trio.current_time() - began >= 3600
    assert 5 < len(world.outcomes) < 200
    assert plug.problems()[order.file][0]
