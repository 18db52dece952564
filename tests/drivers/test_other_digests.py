"""Equal contents are known as equal, however the service tells its digests."""

import pytest
import trio.testing

from onitufs.drivers import memory
from onitufs.drivers.calling import Inline
from onitufs.model.digests import BLAKE3, DROPBOX, algorithm_of, digest_of
from onitufs.model.files import Kind

from .other_digests import READS_ONLY, TELLS_DROPBOX


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture(params=[memory.DRIVER, READS_ONLY, TELLS_DROPBOX], ids=["digests", "reads only", "tells dropbox"])
def driver(request):
    return request.param


@pytest.fixture
def world(memory_world):
    memory_world.patience_s = 100_000.0
    return memory_world


def new_plug(world, driver):
    options = driver.read_options({"service": str(world.tmp_path)}, world.tmp_path, "")
    return world.new_plug(driver, options, runner=Inline(), random=world.random)


def of(data, algorithm):
    return digest_of(lambda offset, length: data[offset : offset + length], algorithm)


async def test_equal_content_of_somebody_else_is_taken_as_ours(world, driver):
    plug = new_plug(world, driver)
    world.service.put((b"f",), b"equal")
    world.service.put((b"g",), b"other")
    async with world.running(plug):
        plug.submit(world.put(b"f", b"equal"))
        (done,) = await world.done()
        assert done.kept == b""
        assert done.state.digest == of(b"equal", driver.manifest.digest)
        plug.submit(world.put(b"g", b"equal"))
        (done,) = await world.done()
        assert done.kept != b""


async def test_our_own_content_under_another_rev_is_no_conflict(world, driver):
    plug = new_plug(world, driver)
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"one"))
        await world.done()
        for algorithm in (BLAKE3, DROPBOX):  # whatever the Copy knows
            copy = world.copies[first.file]
            object.__setattr__(copy, "digest", of(b"one", algorithm))
            world.service.edit((b"f",), b"one")
            plug.submit(world.move(first.file, b"f"))
            await world.done()
        world.service.edit((b"f",), b"two")
        plug.submit(world.move(first.file, b"f"))
        (failed,) = await world.ended()
        assert failed.stale


async def test_a_digest_is_had_by_reading_only_if_that_is_asked_for(world, driver):
    plug = new_plug(world, driver)
    data = bytes(range(256)) * 100_000  # several chunks
    world.service.put((b"f",), data)
    async with world.running(plug):
        await plug.connected()
        plain = (await plug.digest((b"f",), Kind.FILE)).state.digest
        assert plain == (b"" if driver is READS_ONLY else of(data, driver.manifest.digest))
        for algorithm in (BLAKE3, DROPBOX):
            found = await plug.digest((b"f",), Kind.FILE, algorithm=algorithm, by_reading=True)
            assert found.state.digest == of(data, algorithm)
        unread = (await plug.digest((b"f",), Kind.FILE, algorithm="sha256")).state.digest
        assert unread == plain
        assert algorithm_of((await plug.digest((b"f",), Kind.FILE, by_reading=True)).state.digest) == (
            driver.manifest.digest
        )


async def test_a_file_that_changes_while_it_is_read_has_no_digest(world):
    plug = new_plug(world, READS_ONLY)
    world.service.put((b"f",), b"1" * 20_000_000)

    async def hook(what, path):
        if what == "read" and world.service.nodes[(b"f",)].data[:1] == b"1":
            world.service.edit((b"f",), b"2" * 20_000_000)

    world.service.hook = hook
    async with world.running(plug):
        await plug.connected()
        assert await plug.digest((b"f",), Kind.FILE, by_reading=True) is None
