"""Large files go in chunks: what was sent is not sent again, and what is not wanted any more is taken back."""

import itertools
import json
import os

import pytest
import trio
import trio.testing

from onitufs.drivers.begun import KEPT_S
from onitufs.model.errors import ServiceError, Stale
from onitufs.model.orders import Done, Failed, Interest

from .conftest import Bytes
from .test_orders import Gate

CHUNK = 100_000
DATA = bytes(range(251)) * 4000  # 1,004,000 bytes: 11 chunks


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture
def world(memory_world):
    memory_world.patience_s = 100_000.0
    memory_world.service.chunk_bytes = CHUNK
    memory_world.reads = []  # (offset, length) of each reading of a source

    class Seen(Bytes):
        def read(self, offset, length):
            memory_world.reads.append((offset, min(length, self.size - offset)))
            return super().read(offset, length)

    memory_world.new_source = lambda order: Seen(memory_world.contents[order.file])
    return memory_world


def read_once(world):
    """Whether every byte was read, and none of them twice."""
    at = 0
    for offset, length in sorted(world.reads):
        if offset != at:
            return False
        at += length
    return at == len(DATA)


async def until(condition):
    with trio.fail_after(100_000):
        while not condition():
            await trio.sleep(1.0)


async def test_what_is_larger_than_a_chunk_goes_in_chunks(world):
    plug = world.plug()
    async with world.running(plug):
        plug.submit(world.put(b"large", DATA))
        plug.submit(world.put(b"small", DATA[:CHUNK]))
        await world.done(2)
        assert world.files() == {(b"large",): DATA, (b"small",): DATA[:CHUNK]}
        assert [path for _, path in world.calls("upload_file")] == [(b"small",)]
        assert len(world.calls("upload_chunk")) == 11
    assert list((world.tmp_path / "work" / "uploads").iterdir()) == []


async def test_a_broken_line_costs_nothing_that_was_sent(world):
    plug = world.plug()
    world.service.sending_fails_after = 333_333
    async with world.running(plug):
        plug.submit(world.put(b"f", DATA))
        await until(lambda: plug.health.state == "degraded")
        assert world.files() == {}
        await world.done()
        assert plug.health.state == "up"
    assert world.files() == {(b"f",): DATA}
    # the piece in which the line broke is the only one that was read again, from where the service said
    assert 333_333 in [offset for offset, _ in world.reads]
    assert len(world.calls("start_upload")) == 1


async def test_another_run_goes_on_where_the_last_one_was(world):
    plug = world.plug()
    order = world.put(b"f", DATA)
    async with world.running(plug):
        gate = Gate(world, "end_upload")
        plug.submit(order)
        await gate.holds(1)
    assert read_once(world)
    world.service.hook = None
    again = world.plug()
    async with world.running(again):
        again.submit(order)
        await world.done()
    assert world.files() == {(b"f",): DATA}
    assert read_once(world), "it was sent again"
    assert len(world.calls("start_upload")) == 1


async def test_progress_goes_on_at_the_offset_that_the_service_has(world):
    plug = world.plug()
    order = world.put(b"f", DATA)
    async with world.running(plug):
        pieces = itertools.count()

        async def stop(what, path):
            if what == "piece" and next(pieces) == 9:
                await trio.sleep_forever()

        world.service.hook = stop
        plug.submit(order)
        await trio.testing.wait_all_tasks_blocked()
    (sent,) = world.service.uploads.values()
    there = len(sent.data)
    assert 0 < there < len(DATA)
    again = world.plug()
    gate = Gate(world, "upload_chunk")
    async with world.running(again):
        again.submit(order)
        await gate.holds(1)
        (transfer,) = again.transfers
        assert (transfer.bytes, transfer.of) == (there, len(DATA))
        assert transfer.bytes_per_s == 0
        gate.open()
        await world.done()


async def test_other_bytes_do_not_go_on_with_what_was_sent(world):
    """The file was saved again while nobody was there to end its upload."""
    plug = world.plug()
    first = world.put(b"f", DATA)
    async with world.running(plug):
        gate = Gate(world, "end_upload")
        plug.submit(first)
        await gate.holds(1)
    world.service.hook = None
    world.reads.clear()
    newer = DATA[::-1]
    again = world.plug()
    async with world.running(again):
        again.submit(world.put(b"f", newer, file=first.file))
        await world.done()
        await until(lambda: not world.service.uploads)
    assert world.files() == {(b"f",): newer}
    assert read_once(world)


async def test_an_upload_that_the_service_forgot_is_begun_anew(world):
    plug = world.plug()
    forgot = False

    async def forget(what, path):
        nonlocal forgot
        if what == "end_upload" and not forgot:
            forgot = True
            world.service.uploads.clear()

    world.service.hook = forget
    async with world.running(plug):
        plug.submit(world.put(b"f", DATA))
        await world.done()
    assert world.files() == {(b"f",): DATA}
    assert len(world.calls("start_upload")) == 2


async def test_a_newer_version_ends_the_upload(world):
    plug = world.plug()
    first = world.put(b"f", DATA)
    async with world.running(plug):
        gate = Gate(world, "upload_chunk")
        plug.submit(first)
        await gate.holds(1)
        newer = DATA[::-1]
        plug.submit(world.put(b"f", newer, file=first.file))
        gate.open()
        stale, asked = await world.ended(2)
        assert isinstance(stale, Failed)
        assert isinstance(stale.error, Stale)
        assert asked.stale
        assert len(world.calls("upload_chunk")) == 1
        plug.submit(world.put(b"f", newer, file=first.file))
        await world.done()
        await until(lambda: not world.service.uploads)
    assert world.files() == {(b"f",): newer}
    assert list((world.tmp_path / "work" / "uploads").iterdir()) == []


async def test_a_file_that_is_saved_all_the_time_arrives(world):
    """Each chunk takes as long as somebody takes to save the file anew."""
    order = world.put(b"f", DATA)
    generation = order.generation

    def interest(running):
        return Interest.WANTED if running.generation == generation else Interest.OVERTAKEN

    plug = world.plug(interest=interest)

    async def save(what, path):
        nonlocal order, generation
        if what == "upload_chunk":
            await trio.sleep(5)
            order = world.put(b"f", DATA, file=order.file)
            generation = order.generation

    world.service.hook = save
    world.on_report = lambda outcome: plug.submit(order) if isinstance(outcome, Failed) else None
    async with world.running(plug):
        plug.submit(order)
        with trio.fail_after(3600):
            while not any(isinstance(outcome, Done) for outcome in await world.ended()):
                pass
    assert world.files() == {(b"f",): DATA}


async def test_what_nobody_wants_there_any_more_is_taken_back(world):
    wanted = True
    plug = world.plug(interest=lambda order: Interest.WANTED if wanted else Interest.NONE)
    async with world.running(plug):
        gate = Gate(world, "upload_chunk")
        plug.submit(world.put(b"f", DATA))
        await gate.holds(1)
        wanted = False
        gate.open()
        (failed,) = await world.ended()
        assert failed.stale
        await until(lambda: not world.service.uploads)
    assert world.files() == {}


async def test_a_withdrawn_order_takes_back_what_it_had_sent(world):
    plug = world.plug()
    world.service.sending_fails_after = 2 * CHUNK
    async with world.running(plug):
        plug.submit(order := world.put(b"f", DATA))
        await until(lambda: plug.problems())
        world.fail("upload_chunk", lambda: AssertionError("it is sent on"))
        plug.withdraw(order.file)
        await until(lambda: not world.service.uploads)


async def test_a_foreign_object_is_kept_and_nothing_is_sent_twice(world):
    plug = world.plug(now_s=lambda: 1_000_000_000.0)
    async with world.running(plug):
        gate = Gate(world, "end_upload")
        plug.submit(world.put(b"f.bin", DATA))
        await gate.holds(1)
        world.service.put((b"f.bin",), b"theirs")
        gate.open()
        (done,) = await world.done()
    kept = b"f (conflicted copy from disk 2001-09-09).bin"
    assert done.kept == kept
    assert world.files() == {(b"f.bin",): DATA, (kept,): b"theirs"}
    assert read_once(world)


async def test_a_directory_that_went_away_is_made_again_and_nothing_is_sent_twice(world):
    plug = world.plug()
    folder = world.new_directory(b"d")
    async with world.running(plug):
        gate = Gate(world, "end_upload")
        plug.submit(world.put(b"f", DATA, parent=folder))
        await gate.holds(1)
        world.service.delete((b"d",))
        gate.open()
        await world.done()
    assert world.files() == {(b"d", b"f"): DATA}
    assert read_once(world)


async def test_what_is_there_already_is_not_sent(world):
    """The answer to the end was lost with the line."""
    plug = world.plug()
    async with world.running(plug):
        plug.submit(first := world.put(b"f", DATA))
        await world.done()
        del world.copies[first.file]
        calls = len(world.calls("upload_chunk"))
        plug.submit(world.put(b"f", DATA, file=first.file))
        (done,) = await world.done()
        assert done.kept == b""
    assert len(world.calls("upload_chunk")) == calls
    assert world.files() == {(b"f",): DATA}


async def test_what_nobody_ordered_for_long_is_taken_back(world):
    now_s = 1_700_000_000.0
    plug = world.plug(now_s=lambda: now_s)
    order = world.put(b"f", DATA)
    async with world.running(plug):
        gate = Gate(world, "end_upload")
        plug.submit(order)
        await gate.holds(1)
    world.service.hook = None
    (record,) = (world.tmp_path / "work" / "uploads").iterdir()
    os.utime(record, (now_s, now_s))
    now_s += KEPT_S - 7200
    again = world.plug(now_s=lambda: now_s)
    async with world.running(again):
        await again.connected()
        await trio.sleep(3600)
        assert world.service.uploads
        now_s += 7300
        await until(lambda: not world.service.uploads)
    assert not record.exists()


async def test_a_torn_note_is_of_no_use_and_no_harm(world):
    directory = world.tmp_path / "work" / "uploads"
    directory.mkdir(parents=True)
    (directory / "torn.json").write_bytes(b'{"token": "up')
    (directory / "empty.json").write_bytes(b"")
    (directory / "other.json").write_text(json.dumps({"token": "x", "of": "another version"}))
    plug = world.plug()
    async with world.running(plug):
        plug.submit(world.put(b"f", DATA))
        await world.done()
    assert list(directory.iterdir()) == []
    assert plug.health.state != "suspended"


async def test_a_line_that_breaks_in_each_chunk_gets_it_there(world):
    """Each attempt comes a little further: the backoff does not grow as it does where nothing moves."""
    plug = world.plug()
    pieces = itertools.count(1)

    async def breaks(what, path):
        if what == "piece" and next(pieces) % 3 == 0:
            world.service.sending_fails_after = len(next(iter(world.service.uploads.values())).data)

    world.service.hook = breaks
    async with world.running(plug):
        plug.submit(world.put(b"f", DATA))
        began_s = trio.current_time()
        await world.done()
        assert trio.current_time() - began_s < 120
    assert len(world.calls("connect")) > 5
    assert world.files() == {(b"f",): DATA}


async def test_what_fails_at_its_end_is_not_sent_in_a_loop(world):
    """Bytes that arrived wrong cost a whole upload each time: the backoff grows as with any other failure."""
    plug = world.plug()

    async def spoil(what, path):
        if what == "end_upload":
            world.service.uploads.clear()
            raise ServiceError("what arrived is not what was sent")

    world.service.hook = spoil
    async with world.running(plug):
        plug.submit(world.put(b"f", DATA))
        await trio.sleep(3600)
        assert len(world.calls("start_upload")) < 60
        world.service.hook = None
        await world.done()
    assert world.files() == {(b"f",): DATA}


async def test_a_huge_file_lets_smaller_ones_go_first_and_loses_nothing(world):
    """It takes hours; what comes later and takes minutes has its turn between two chunks, though no lane is free."""
    world.service.chunk_bytes = 8 << 20
    hours, minutes = bytes(200 << 20), bytes(40 << 20)
    plug = world.plug(lanes=3)

    async def slow(what, path):
        if what == "upload_chunk":
            await trio.sleep(100)

    world.service.hook = slow
    async with world.running(plug):
        await plug.connected()
        plug.submit(world.put(b"hours", hours))
        await trio.sleep(150)
        plug.submit(world.put(b"minutes", minutes))
        (done,) = await world.done()
        assert done.order.place.name == b"minutes"
        await world.done()
    assert world.files() == {(b"hours",): hours, (b"minutes",): minutes}
    assert len(world.calls("upload_chunk")) == 25 + 5
    assert len(world.calls("start_upload")) == 2


async def test_a_huge_file_is_not_starved_by_smaller_ones(world):
    """Another one comes before each is through; every fourth turn is that of who waits longest."""
    world.service.chunk_bytes = 20 << 20
    hours, minutes = bytes(130 << 20), bytes(33 << 20)
    plug = world.plug(lanes=3)
    names = itertools.count()

    def another(outcome):
        name = outcome.order.place.name
        if isinstance(outcome, Done) and name != b"hours":
            world.service.nodes[(name,)].data = b""  # this is all in memory
            plug.submit(world.put(b"%d" % next(names), minutes))

    async def slow(what, path):
        if what == "upload_chunk":
            await trio.sleep(100)

    world.service.hook = slow
    world.on_report = another
    async with world.running(plug):
        plug.submit(world.put(b"hours", hours))
        for _ in range(3):
            plug.submit(world.put(b"%d" % next(names), minutes))
        while (b"hours",) not in world.files() and next(names) < 50:
            await world.done()
        assert next(names) < 50


async def test_large_files_do_not_wait_for_huge_ones(world):
    huge = bytes(40 << 20)
    plug = world.plug()
    async with world.running(plug):
        gate = Gate(world, "upload_chunk")
        for name in (b"a", b"b", b"c", b"d"):
            plug.submit(world.put(name, huge))
        await gate.holds(2)
        await trio.testing.wait_all_tasks_blocked()
        assert gate.held == 2
        plug.submit(world.put(b"large", DATA))
        await gate.holds(3)
        plug.submit(world.put(b"small", b"x"))
        (done,) = await world.done()
        assert done.order.place.name == b"small"
