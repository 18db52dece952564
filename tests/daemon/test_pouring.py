"""A driver writes the file itself of which somebody reads on. Time is simulated, over a line of 125 MB/s and 1 ms."""

import os

import pytest
import trio
import trio.testing
from blake3 import blake3

from onitufs.content.partial import BLOCK_BYTES
from onitufs.daemon import fetching, pouring
from onitufs.model import errors
from onitufs.model.ids import ROOT_INODE

from .far import Line

MIB = 1 << 20
BLOCKS = 16 * 20
DATA = os.urandom(BLOCK_BYTES) * BLOCKS + b"end"
READ = 1 << 17


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def lines(far):
    for service in far.services.values():
        service.hook = Line(0.001, 125e6).hook
        service.tells_every = 1


def when_poured(far, entry, block, do):
    """Have something done when the driver is about to give this block of a file that it writes."""
    line, tasks, given = far.services[entry].hook, set(), 0

    async def hook(what, path):
        nonlocal given
        await line(what, path)
        task = trio.lowlevel.current_task()
        if what == "get_file":
            tasks.add(task)
        elif what == "read" and task in tasks:
            given += 1
            if given == block + 1:
                await do(far.services[entry].nodes[path])

    far.services[entry].hook = hook


async def arrived(far, number):
    """Wait until all of it is here, and right."""
    while far.volume.peek(number).absent:
        await trio.sleep(0.1)
    assert far.life.read(b"file") == DATA


def poured(far, entry="a"):
    return far.calls(entry, "get_file")


async def read(far, number, start=0, end=1 << 30):
    """Read on, as a program does, and compare all that comes."""
    await far.fetcher.verify(number)  # as open() does
    for offset in range(start, min(end, len(DATA)), READ):
        piece = await far.fetcher.read(number, offset, READ)
        if piece is None:  # it is here
            assert far.life.read(b"file") == DATA
            return
        assert piece == DATA[offset : offset + READ]


async def read_until_poured(far, number):
    """Read on until the driver writes it; the offset come to."""
    at = 0
    while not poured(far):
        await read(far, number, at, at + READ)
        at += READ
        assert at < 16 * MIB
    return at


@pytest.mark.parametrize("digest", [b"", blake3(DATA).digest()], ids=["of which nothing is known", "known"])
async def test_who_reads_on_has_the_driver_write_the_whole(one, digest):
    number = one.adopt(DATA, digest=digest)
    lines(one)
    async with one.running():
        await read(one, number)
        await trio.testing.wait_all_tasks_blocked()
        assert poured(one) == 1
        assert one.readings("a") < 20
        assert one.life.read(b"file") == DATA
        assert not one.volume.peek(number).absent
        assert one.fetcher.half_fetched == 0


async def test_who_looks_at_the_beginning_has_not(one):
    number = one.adopt(DATA)
    lines(one)
    async with one.running():
        await read(one, number, end=MIB // 2)
        await trio.testing.wait_all_tasks_blocked()
        assert not poured(one)


async def test_nor_who_reads_on_from_the_middle(one):
    number = one.adopt(DATA)
    lines(one)
    async with one.running():
        await read(one, number, 5 * MIB, 20 * MIB)
        assert not poured(one)


async def test_what_is_far_off_is_not_waited_for_in_its_turn(one, monkeypatch):
    monkeypatch.setattr(pouring, "WINDOW", 16)
    number = one.adopt(DATA)
    lines(one)
    async with one.running():
        at = await read_until_poured(one, number)
        began_s = trio.current_time()
        assert await one.fetcher.read(number, 19 * MIB, READ) == DATA[19 * MIB :][:READ]
        assert trio.current_time() - began_s < 0.05  # the rest takes 0.1 and more
        await read(one, number, at)
        await arrived(one, number)


async def test_who_stops_reading_does_not_get_it_all(one, monkeypatch):
    monkeypatch.setattr(pouring, "MOST_BEFORE", 2 * MIB)
    number = one.adopt(DATA)
    lines(one)
    async with one.running():
        at = await read_until_poured(one, number)
        await trio.sleep(10)
        assert one.blocks_given("a") < 16 * 16
        await read(one, number, at)
        await trio.testing.wait_all_tasks_blocked()
        assert poured(one) == 1
        assert one.life.read(b"file") == DATA


async def test_who_needs_all_of_it_does_not_depend_on_who_reads(one, monkeypatch):
    monkeypatch.setattr(pouring, "MOST_BEFORE", 2 * MIB)
    number = one.adopt(DATA)
    lines(one)
    async with one.running():
        await read_until_poured(one, number)
        asked = one.readings("a")
        await one.fetcher.fetch_all(number)
        assert one.life.read(b"file") == DATA
        assert one.readings("a") == asked


async def test_the_end_comes_only_when_the_file_was_the_same_all_the_time(one):
    whole = DATA[: BLOCKS * BLOCK_BYTES]
    number = one.adopt(whole)
    lines(one)
    async with one.running():

        async def edit(node):  # all has been read, and it is looked at once more
            one.services["a"].edit((b"file",), b"other" * 1000)

        when_poured(one, "a", BLOCKS, edit)
        with pytest.raises(errors.Stale):
            await read(one, number, end=len(whole))
        assert one.blocks_given("a") >= BLOCKS
        assert one.volume.peek(number).absent


async def test_a_file_that_is_longer_than_was_known_is_not_taken_for_it(one):
    number = one.adopt(DATA)
    lines(one)
    async with one.running():
        one.services["a"].nodes[b"file",].data = DATA + bytes(3 * BLOCK_BYTES)  # under the same rev
        await read(one, number)
        assert poured(one) == 1
        await one.fetcher.fetch_all(number)
        assert one.life.read(b"file") == DATA


async def test_a_driver_that_hangs_is_left_and_what_it_still_writes_is_of_no_matter(two):
    number = two.adopt(DATA, digest=blake3(DATA).digest())
    two.velocities.update(a=0.9, b=0.5)
    lines(two)
    async with two.running():
        go_on = trio.Event()

        async def hang(node):
            with trio.CancelScope(shield=True):  # as a thread in a call to the system
                await go_on.wait()
            node.data = b"x" * len(DATA)

        when_poured(two, "a", 12 * 16, hang)
        began_s = trio.current_time()
        try:
            await read(two, number)
            assert trio.current_time() - began_s < 2.2 * fetching.STALL_S
            await arrived(two, number)
        finally:
            go_on.set()
        await trio.testing.wait_all_tasks_blocked()
        assert two.life.read(b"file") == DATA


async def test_a_server_that_freezes_is_waited_for_once(two):
    """Not by the next call, too."""
    number = two.adopt(DATA, digest=blake3(DATA).digest())
    two.velocities.update(a=0.9, b=0.5)
    lines(two)
    async with two.running():

        async def freeze(node):
            two.services["a"].reads_stall = trio.Event()
            await trio.sleep_forever()

        when_poured(two, "a", 12 * 16, freeze)
        began_s = trio.current_time()
        await read(two, number)
        assert trio.current_time() - began_s < 2.2 * fetching.STALL_S
        await arrived(two, number)


async def test_a_line_that_breaks_is_left_at_the_same_offset(two):
    number = two.adopt(DATA)
    two.velocities.update(a=0.9, b=0.5)
    lines(two)
    async with two.running():
        two.services["a"].read_fails_after = 12 * MIB
        await read(two, number)
        assert poured(two) == 1
        assert two.blocks_given("b") < 10 * 16
        await arrived(two, number)


async def test_wrong_bytes_are_never_taken_for_the_file(two):
    number = two.adopt(DATA, digest=blake3(DATA).digest())
    two.velocities.update(a=0.9, b=0.5)
    lines(two)
    async with two.running():
        node = two.services["a"].nodes[b"file",]
        node.data = node.data[:-1] + b"?"
        await read(two, number, end=len(DATA) - READ)
        assert poured(two) == 1
        await two.fetcher.fetch_all(number)
        assert two.life.read(b"file") == DATA
        assert {copy.entry for copy in two.suspected} == {"a"}


async def test_nor_are_wrong_ones_that_somebody_else_put_among_right_ones(two, monkeypatch):
    """The driver has told the right digest, of what it wrote; and a part of that was written over."""
    monkeypatch.setattr(pouring, "WINDOW", 16)
    number = two.adopt(DATA, digest=blake3(DATA).digest())
    two.velocities.update(a=0.9, b=0.5)
    lines(two)
    async with two.running(), trio.open_nursery() as nursery:
        await read_until_poured(two, number)
        line, others, node = two.services["a"].hook, set(), two.services["a"].nodes[b"file",]
        far_off, put = 12 * MIB, trio.Event()
        partial = two.fetcher._blocks._fetches[number].partial
        in_the_middle = trio.Event()

        async def hook(what, path):
            await line(what, path)
            task = trio.lowlevel.current_task()
            if what == "get_chunk":
                others.add(task)
                await in_the_middle.wait()
            elif task not in others and partial.has(far_off // BLOCK_BYTES + 2):
                in_the_middle.set()
                await put.wait()
            node.data = bytes(len(DATA)) if task in others else DATA

        async def reader():
            await two.fetcher.read(number, far_off, 4 * READ)
            put.set()

        two.services["a"].hook = hook
        nursery.start_soon(reader)
        await two.fetcher.fetch_all(number)
        assert two.life.read(b"file") == DATA
        assert {copy.entry for copy in two.suspected} == {"a"}


async def test_it_goes_when_the_file_goes(one):
    number = one.adopt(DATA)
    lines(one)
    async with one.running():
        await read_until_poured(one, number)
        one.volume.unlink(ROOT_INODE, b"file")
        await trio.sleep(2 * fetching.SWEEP_S)
        assert one.fetcher.half_fetched == 0
