"""An entry's limits hold, in both directions and whatever way the bytes take, in simulated time."""

import os
import tempfile

import pytest
import trio
import trio.testing

from onitufs.drivers import local_storage
from onitufs.drivers.bandwidth import BURST_S, Bucket
from onitufs.model.bandwidth import UNLIMITED, Bandwidth

from .conftest import World

RATE = 100_000


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture
def world(memory_world):
    memory_world.patience_s = 100_000.0
    memory_world.service.chunk_bytes = RATE
    return memory_world


def least_s(count, rate=RATE):
    """How long so many bytes take at least."""
    return count / rate - BURST_S - 1e-6


def new_bucket(rate):
    bucket = Bucket(rate)
    bucket.begin()
    return bucket


async def test_no_more_goes_through_than_the_limit_allows():
    bucket = new_bucket(RATE)
    began_s, moved = trio.current_time(), 0

    async def move(piece, times):
        nonlocal moved
        for _ in range(times):
            moved += piece
            await bucket.wait(bucket.take(piece))
            assert trio.current_time() - began_s >= least_s(moved) - 5 * 40_000 / RATE  # what the others still wait for

    async with trio.open_nursery() as nursery:
        for piece in (10, 1000, 7000, 40_000, 40_000):
            nursery.start_soon(move, piece, 20)
    assert least_s(moved) <= trio.current_time() - began_s <= moved / RATE + 0.01


async def test_who_waits_goes_on_in_the_order_of_coming():
    bucket = new_bucket(RATE)
    ended = []

    async def move(name, size):
        await bucket.wait(bucket.take(size))
        ended.append(name)

    async with trio.open_nursery() as nursery:
        for name, size in (("first", RATE), ("large", 10 * RATE), ("small", 1)):
            nursery.start_soon(move, name, size)
            await trio.testing.wait_all_tasks_blocked()
    assert ended == ["first", "large", "small"]


async def test_a_rest_is_not_saved_up():
    bucket = new_bucket(RATE)
    await trio.sleep(3600)
    began_s = trio.current_time()
    await bucket.wait(bucket.take(10 * RATE))
    assert trio.current_time() - began_s >= least_s(10 * RATE)


async def test_another_limit_is_heeded_by_who_waits_already():
    bucket = new_bucket(1000)
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bucket.wait, bucket.take(1_000_000))
        await trio.sleep(10)
        bucket.change(RATE)
    assert 9 <= trio.current_time() - began_s - 10 <= 10
    bucket.change(None)
    await bucket.wait(bucket.take(10**12))
    assert trio.current_time() - began_s <= 20


async def test_uploads_keep_to_it(world):
    plug = world.plug(bandwidth=Bandwidth(up=RATE))
    async with world.running(plug):
        await plug.connected()
        began_s = trio.current_time()
        plug.submit(world.put(b"large", bytes(1_000_000)))
        await world.done()
        large_s = trio.current_time() - began_s
        for number in range(100):
            plug.submit(world.put(b"%d" % number, bytes(5_000)))
        await world.done(100)
        # what went last is paid for by whatever comes next
        assert least_s(1_000_000 - 262_144) <= large_s <= 11
        assert least_s(1_500_000 - 4 * 5_000) <= trio.current_time() - began_s <= 16


async def test_small_files_do_not_wait_for_a_large_one(world):
    plug = world.plug(bandwidth=Bandwidth(up=RATE))
    world.service.chunk_bytes = 100 * RATE
    async with world.running(plug):
        await plug.connected()
        plug.submit(world.put(b"large", bytes(200 * RATE)))
        while not (plug.transfers and plug.transfers[0].came_nearer):
            await trio.sleep(0.1)
        began_s = trio.current_time()
        plug.submit(world.put(b"small", b"x"))
        (done,) = await world.done()
        assert done.order.place.name == b"small"
        assert trio.current_time() - began_s <= 10


async def test_another_limit_holds_at_once_and_ends_nothing(world):
    plug = world.plug(bandwidth=Bandwidth(up=1000))
    async with world.running(plug):
        plug.submit(world.put(b"f", bytes(1_000_000)))
        await trio.sleep(200)
        (transfer,) = plug.transfers
        assert 0 < transfer.bytes < 1_000_000
        plug.bandwidth.change(UNLIMITED)
        changed_s = trio.current_time()
        await world.done()
        assert trio.current_time() == pytest.approx(changed_s)
    assert len(world.calls("connect")) == len(world.calls("start_upload")) == 1


async def test_what_is_read_keeps_to_it(world):
    plug = world.plug(bandwidth=Bandwidth(down=RATE))
    node = world.service.put((b"f",), bytes(1_000_000))
    async with world.running(plug):
        await plug.connected()
        began_s = trio.current_time()
        for offset in range(0, 1_000_000, 50_000):
            assert len(await plug.read((b"f",), node.rev, offset, 50_000)) == 50_000
        with tempfile.TemporaryFile() as file:
            await plug.fetch((b"f",), node.rev, file.fileno(), lambda _: None)
            assert os.fstat(file.fileno()).st_size == 1_000_000
        await plug.read((b"f",), node.rev, 0, 1)
        assert least_s(2_000_000) <= trio.current_time() - began_s <= 21


async def test_what_is_only_compared_costs_nothing(world):
    """The file is there already, and its answer was lost: to find that out, ours is read and not sent."""
    plug = world.plug(bandwidth=Bandwidth(up=RATE))
    async with world.running(plug):
        await plug.connected()
        world.service.put((b"f",), bytes(50 * RATE))
        began_s = trio.current_time()
        plug.submit(world.put(b"f", bytes(50 * RATE)))
        await world.done()
        plug.submit(world.put(b"g", bytes(1000)))
        await world.done()
        assert trio.current_time() - began_s < 5
    assert world.calls("upload_chunk") == []


async def test_one_direction_does_not_hold_up_the_other(world):
    plug = world.plug(bandwidth=Bandwidth(up=1000))
    node = world.service.put((b"f",), bytes(1_000_000))
    async with world.running(plug):
        await plug.connected()
        plug.submit(world.put(b"g", bytes(1_000_000)))
        await trio.sleep(10)
        began_s = trio.current_time()
        await plug.read((b"f",), node.rev, 0, 1_000_000)
        assert trio.current_time() == began_s


class TestInThreads:
    """A driver that copies in threads waits there; its clock runs 50 times as fast as ours."""

    @pytest.fixture
    def anyio_backend(self):
        return "trio", {"clock": trio.testing.MockClock(rate=50)}

    async def test_a_copy_keeps_to_it(self, tmp_path):
        world = World(tmp_path)
        world.patience_s = 1000.0
        options = local_storage.DRIVER.read_options({"root": str(tmp_path / "root")}, tmp_path, "")
        mib = 1 << 20
        plug = world.new_plug(local_storage.DRIVER, options, bandwidth=Bandwidth(up=mib, down=mib))
        async with world.running(plug):
            await plug.connected()
            began_s = trio.current_time()
            plug.submit(put := world.put(b"f", bytes(8 * mib)))
            await world.done()
            up_s = trio.current_time() - began_s
            assert up_s >= least_s(8 * mib, mib)
            with tempfile.TemporaryFile() as file:
                rev = world.copies[put.file].rev
                await plug.fetch((b"f",), rev, file.fileno(), lambda _: None)
            assert trio.current_time() - began_s - up_s >= least_s(8 * mib, mib)

    async def test_a_batch_keeps_to_it(self, tmp_path):
        world = World(tmp_path)
        world.patience_s = 1000.0
        options = local_storage.DRIVER.read_options({"root": str(tmp_path / "root")}, tmp_path, "")
        mib = 1 << 20
        plug = world.new_plug(local_storage.DRIVER, options, bandwidth=Bandwidth(up=mib))
        for number in range(80):
            plug.submit(world.put(b"%d" % number, bytes(100_000)))
        async with world.running(plug):
            await plug.connected()
            began_s = trio.current_time()
            await world.done(80)
            assert trio.current_time() - began_s >= least_s(8_000_000, mib)

    async def test_who_waits_can_be_ended(self, tmp_path):
        world = World(tmp_path)
        world.patience_s = 1000.0
        options = local_storage.DRIVER.read_options({"root": str(tmp_path / "root")}, tmp_path, "")
        plug = world.new_plug(local_storage.DRIVER, options, bandwidth=Bandwidth(up=1000))
        async with world.running(plug):
            plug.submit(world.put(b"f", bytes(8 << 20)))
            with trio.fail_after(1000):
                while not any(transfer.bytes for transfer in plug.transfers):
                    await trio.sleep(1)
            began_s = trio.current_time()
            plug.pause()
            with trio.fail_after(1000):
                while plug.transfers:
                    await trio.sleep(1)
            assert trio.current_time() - began_s < 1000  # and not the hours that were left
        assert not (tmp_path / "root" / "f").exists()
