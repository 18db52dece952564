"""Bytes that are not here come once, from whoever has them, and nobody waits for ever. Time is simulated."""

import errno
import os
from functools import partial

import pytest
import trio
import trio.testing
from blake3 import blake3

from onitufs.content.partial import BLOCK_BYTES
from onitufs.daemon import blocks, fetching
from onitufs.daemon.holders import CHANGED_S, SILENT_S
from onitufs.daemon.speeds import HALF_LIFE_S
from onitufs.drivers.sight import FETCHES
from onitufs.model import errors
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_INODE

from .far import Line

MIB = 1 << 20
DATA = os.urandom(1 << 16) * 16 * 5 + b"end"
BLOCKS = 81


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def test_two_readers_of_a_block_fetch_it_once(one):
    number = one.adopt(DATA)
    async with one.running(), trio.open_nursery() as nursery:
        one.services["a"].reads_stall = trio.Event()
        read = []

        async def reader(offset):
            read.append(await one.fetcher.read(number, offset, 100) == DATA[offset : offset + 100])

        for offset in (3 * MIB, 3 * MIB + 500, 3 * MIB + 9000):
            nursery.start_soon(reader, offset)
        await trio.testing.wait_all_tasks_blocked()
        one.services["a"].reads_stall.set()
        while len(read) < 3:
            await trio.sleep(0.1)
        assert read == [True] * 3
        assert one.readings("a") == 1


async def test_who_reads_on_is_read_ahead_of(one):
    number = one.adopt(DATA)
    async with one.running():
        for offset in range(0, len(DATA), MIB // 4):
            assert await one.fetcher.read(number, offset, MIB // 4) in (DATA[offset : offset + MIB // 4], None)
            await trio.testing.wait_all_tasks_blocked()
            if offset == MIB:
                assert one.blocks_given("a") > 2 * 20
        assert one.blocks_given("a") == BLOCKS  # each once
        assert one.readings("a") < 25
        assert await one.fetcher.read(number, 0, 1) is None  # it is here
        assert not one.volume.peek(number).absent
        assert one.life.read(b"file") == DATA


async def test_who_reads_here_and_there_is_not(one):
    number = one.adopt(os.urandom(MIB) * 40)
    async with one.running():
        for block in (20, 3, 35, 11):
            await one.fetcher.read(number, block * MIB, 100)
            await trio.testing.wait_all_tasks_blocked()
        assert one.readings("a") == 4


async def test_a_silent_entry_is_left_for_another_in_the_middle(two):
    number = two.adopt(DATA)
    async with two.running():
        assert await two.fetcher.read(number, 2 * MIB, 10) == DATA[2 * MIB : 2 * MIB + 10]
        asked = "a" if two.readings("a") else "b"
        two.services[asked].reads_stall = trio.Event()
        began = trio.current_time()
        assert await two.fetcher.read(number, 4 * MIB, 10) == DATA[4 * MIB : 4 * MIB + 10]
        assert trio.current_time() - began == pytest.approx(fetching.STALL_S, abs=1)
        assert await two.fetcher.read(number, 3 * MIB, 10) == DATA[3 * MIB : 3 * MIB + 10]
        assert trio.current_time() - began == pytest.approx(fetching.STALL_S, abs=1)  # it is not waited for again


async def test_a_silent_entry_is_waited_for_once(one):
    number = one.adopt(DATA)
    async with one.running():
        one.services["a"].reads_stall = trio.Event()
        began = trio.current_time()
        for block in range(4):
            with pytest.raises(trio.TooSlowError):
                await one.fetcher.read(number, block * MIB, 10)
        with pytest.raises(trio.TooSlowError):
            await one.fetcher.fetch_all(number)
        assert trio.current_time() - began == pytest.approx(fetching.STALL_S, abs=1)
        one.services["a"].reads_stall.set()
        await trio.sleep(SILENT_S)
        assert await one.fetcher.read(number, 0, 10) == DATA[:10]


async def test_an_entry_that_answered_since_is_asked_again(one):
    number, other = one.adopt(DATA), one.adopt(DATA, b"other")
    async with one.running():
        one.services["a"].reads_stall = trio.Event()
        with pytest.raises(trio.TooSlowError):
            await one.fetcher.read(number, 0, 10)
        one.services["a"].reads_stall.set()
        assert await one.fetcher.read(other, 0, 10) == DATA[:10]
        assert await one.fetcher.read(number, 0, 10) == DATA[:10]


async def test_entries_that_are_down_are_told_at_once(two):
    number = two.adopt(DATA)
    async with two.running():
        for plug in two.plugs.values():
            plug.pause()
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        with pytest.raises(errors.ServiceError):
            await two.fetcher.read(number, 0, 10)
        with pytest.raises(errors.ServiceError):
            await two.fetcher.fetch_all(number)
        assert trio.current_time() == began


async def test_passing_trouble_is_tried_again(one):
    number = one.adopt(DATA)
    async with one.running():
        left = [2]

        async def hook(what, path):
            if what == "get_chunk" and left[0]:
                left[0] -= 1
                raise errors.ServiceError("busy")

        one.services["a"].hook = hook
        assert await one.fetcher.read(number, 0, 10) == DATA[:10]


async def test_what_was_changed_there_is_not_asked_for_again_and_is_looked_at(two):
    number = two.adopt(DATA)
    async with two.running():
        for changed in two.services.values():
            changed.edit((b"file",), b"other bytes")
        with pytest.raises(errors.Stale):
            await two.fetcher.read(number, 0, 10)
        assert {copy.entry for copy in two.suspected} == {"a", "b"}
        asked = two.readings("a"), two.readings("b")
        with pytest.raises(errors.Stale):
            await two.fetcher.fetch_all(number)
        assert (two.readings("a"), two.readings("b")) == asked


@pytest.mark.parametrize("call", ["read", "fetch_all", "verify"])
async def test_whoever_looks_at_what_was_changed_there_is_waited_for(one, call):
    number = one.adopt(DATA)
    one.looks = True
    calls = {
        "read": partial(one.fetcher.read, number, 0, 10),
        "fetch_all": partial(one.fetcher.fetch_all, number),
        "verify": partial(one.fetcher.verify, number),
    }
    async with one.running(), trio.open_nursery() as nursery:
        one.services["a"].edit((b"file",), DATA)

        async def look() -> None:
            await trio.sleep(5)
            one.taken_over("a")

        nursery.start_soon(look)
        began = trio.current_time()
        await calls[call]()
        assert trio.current_time() - began == pytest.approx(5, abs=0.1)  # at once when that was done


async def test_but_not_for_ever(one):
    number = one.adopt(DATA)
    one.looks = True
    async with one.running():
        one.services["a"].edit((b"file",), b"other bytes")
        began = trio.current_time()
        with pytest.raises(errors.Stale):
            await one.fetcher.read(number, 0, 10)
        assert trio.current_time() - began == pytest.approx(CHANGED_S, abs=2)


async def test_nobody_is_waited_for_where_nobody_looks(one):
    number = one.adopt(DATA)
    async with one.running():
        one.services["a"].edit((b"file",), b"other bytes")
        began = trio.current_time()
        with pytest.raises(errors.Stale):
            await one.fetcher.read(number, 0, 10)
        assert trio.current_time() - began < 2


async def test_one_holder_changed_the_other_did_not(two):
    number = two.adopt(DATA)
    async with two.running():
        two.services["a"].delete((b"file",))
        await two.fetcher.fetch_all(number)
        assert two.life.read(b"file") == DATA


async def test_bytes_with_the_wrong_digest_are_never_taken_for_the_file(two):
    number = two.adopt(DATA, digest=blake3(b"what it should be").digest())
    small = two.adopt(DATA[:100], b"small", digest=blake3(b"what it should be").digest())
    async with two.running():
        for wrong in (number, small):
            with pytest.raises(errors.Stale):
                await two.fetcher.fetch_all(wrong)
            assert two.volume.peek(wrong).absent
        assert len({(copy.file, copy.entry) for copy in two.suspected}) == 4


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
async def test_sizes(one, size):
    data = (DATA + DATA)[:size]
    number = one.adopt(data, digest=blake3(data).digest())
    async with one.running():
        assert await one.fetcher.glance(number, 0, 4096) == data[:4096]
        assert one.volume.peek(number).absent
        assert await one.fetcher.read(number, 0, 10) in (data[:10], None)
        await one.fetcher.fetch_all(number)
        assert one.life.read(b"file") == data
        assert one.volume.peek(number).sealed_size == size
    one.life.kill()
    assert one.life.read(b"file") == data


async def test_what_is_here_in_part_is_made_whole_by_the_rest(one):
    number = one.adopt(DATA)
    async with one.running():
        await one.fetcher.read(number, 2 * MIB, 10)
        await one.fetcher.fetch_all(number)
        assert one.blocks_given("a") == BLOCKS
        assert one.life.read(b"file") == DATA


@pytest.mark.parametrize("alone", [False, True], ids=["in parts where need be", "as one each"])
async def test_more_whole_files_than_calls_at_one_time(one, alone):
    """Who waits for a turn at an entry is not taken for one who waits in vain."""
    names = [b"%d" % number for number in range(3 * FETCHES)]
    numbers = [one.adopt(DATA, name) for name in names]
    one.services["a"].hook = Line(0.02, 1e6).hook
    one.services["a"].tells_every = 1
    if alone:
        one.fetcher._each_alone.update(numbers)
    async with one.running():
        async with trio.open_nursery() as nursery:
            for number in numbers:
                nursery.start_soon(one.fetcher.fetch_all, number)
        assert all(one.life.read(name) == DATA for name in names)
        assert one.fetcher.half_fetched == 0


async def test_a_fetch_that_nobody_waits_for_ends(one):
    number = one.adopt(DATA)
    async with one.running():
        one.services["a"].reads_stall = trio.Event()
        with trio.move_on_after(1):
            await one.fetcher.fetch_all(number)
        await trio.testing.wait_all_tasks_blocked()
        assert not one.plugs["a"].transfers
        one.fetcher.want(number)  # one that is wanted goes on
        one.services["a"].reads_stall.set()
        while one.volume.peek(number).absent:
            await trio.sleep(0.1)


async def test_it_is_emptied_or_removed_meanwhile(one):
    numbers = [one.adopt(DATA, name) for name in (b"x", b"y")]
    async with one.running(), trio.open_nursery() as nursery:
        one.services["a"].reads_stall = trio.Event()
        for number in numbers:
            nursery.start_soon(one.fetcher.fetch_all, number)
        await trio.testing.wait_all_tasks_blocked()
        one.volume.release(one.volume.open(numbers[0], write=True, truncate=True))
        handle = one.volume.open(numbers[1], write=False)
        one.volume.unlink(ROOT_INODE, b"y")
        one.services["a"].reads_stall.set()
    assert one.life.read(b"x") == b""
    assert one.volume.read(handle, 0, len(DATA)) == DATA  # who has it open reads on
    one.volume.release(handle)


async def test_a_full_disk_is_told(one, monkeypatch):
    number = one.adopt(DATA)
    async with one.running():
        await one.fetcher.read(number, 0, 10)

        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("onitufs.content.partial.os.pwrite", full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            await one.fetcher.read(number, 3 * MIB, 10)
        monkeypatch.undo()
        assert await one.fetcher.read(number, 3 * MIB, 10) == DATA[3 * MIB : 3 * MIB + 10]


async def test_half_fetched_files_are_let_go_in_time(one):
    numbers = [one.adopt(DATA, str(n).encode()) for n in range(3)]
    async with one.running():
        for number in numbers:
            await one.fetcher.read(number, 2 * MIB, 10)
        one.volume.unlink(ROOT_INODE, b"1")
        await trio.sleep(fetching.SWEEP_S * 2)
        assert one.fetcher.half_fetched == 2
        await trio.sleep(blocks.IDLE_S + fetching.SWEEP_S)
        assert one.fetcher.half_fetched == 0
    one.life.catalog.close()
    assert not list(one.life.content.directory.rglob("*/*"))


async def test_the_fastest_entry_as_the_setup_says_is_asked_first(two):
    number = two.adopt(DATA)
    async with two.running():
        two.velocities.update(a=0.2, b=0.8)
        await two.fetcher.read(number, 0, 10)
        assert (two.readings("a"), two.readings("b")) == (0, 1)
        two.plugs["b"].pause()
        await trio.testing.wait_all_tasks_blocked()
        await two.fetcher.read(number, 4 * MIB, 10)
        assert two.readings("a") == 1


async def test_what_is_measured_counts_more_than_what_was_said_and_is_forgotten_in_time(two):
    numbers = [two.adopt(DATA, str(n).encode()) for n in range(3)]
    async with two.running():
        two.velocities.update(a=0.8, b=0.5)

        async def slow(what, path):
            if what == "read":
                await trio.sleep(1.0)

        two.services["a"].hook = slow
        for number in numbers[:2]:
            await two.fetcher.read(number, 0, 200_000)
        assert (two.readings("a"), two.readings("b")) == (1, 1)
        await trio.sleep(8 * HALF_LIFE_S)
        await two.fetcher.read(numbers[2], 0, 200_000)
        assert (two.readings("a"), two.readings("b")) == (2, 1)


async def test_a_silent_entry_is_not_the_first_to_be_asked_for_other_files(two):
    numbers = [two.adopt(DATA, str(n).encode()) for n in range(2)]
    async with two.running():
        two.velocities.update(a=0.8, b=0.7)
        two.services["a"].reads_stall = trio.Event()
        await two.fetcher.read(numbers[0], 0, 10)
        began = trio.current_time()
        await two.fetcher.read(numbers[1], 0, 10)
        assert trio.current_time() == pytest.approx(began, abs=0.1)


async def test_a_silent_entry_is_waited_for_once_by_all_that_is_read_ahead(two):
    data = DATA * 8
    number = two.adopt(data)
    async with two.running():
        two.velocities.update(a=0.8, b=0.5)
        got, began = 0, trio.current_time()
        while got < len(data):
            if got == 4 * MIB:
                two.services["a"].reads_stall = trio.Event()
            piece = await two.fetcher.read(number, got, MIB // 4)
            assert piece in (data[got : got + MIB // 4], None)
            got += MIB // 4
        assert trio.current_time() - began < 1.5 * fetching.STALL_S


async def test_an_entry_that_dies_in_the_middle_is_left_at_the_same_offset(two):
    number = two.adopt(DATA, digest=blake3(DATA).digest())
    async with two.running():
        two.velocities.update(a=0.8, b=0.5)
        got = b""
        while len(got) < len(DATA):
            if len(got) == MIB // 2:
                two.services["a"].read_fails_after = 0
            piece = await two.fetcher.read(number, len(got), MIB // 4)
            got += DATA[len(got) : len(got) + MIB // 4] if piece is None else piece
        assert got == DATA
        assert 0 < two.blocks_given("a") < BLOCKS
        while two.volume.peek(number).absent:
            await trio.sleep(0.1)
        assert two.life.read(b"file") == DATA


@pytest.mark.parametrize("rotten", [b"a", b"ab"], ids=["from one entry", "among right ones of another"])
async def test_wrong_bytes_of_one_entry_are_never_taken_for_the_file(two, rotten):
    """Its rev does not tell. The whole is compared with what is known of it, and whoever else has it is asked."""
    number = two.adopt(DATA, digest=blake3(DATA).digest())
    async with two.running():
        two.velocities.update(a=0.8, b=0.5)
        node = two.services["a"].nodes[b"file",]
        node.data = b"rotten" + node.data[6:]
        assert await two.fetcher.read(number, 0, 10) != DATA[:10]  # of that nothing is known, until all is here
        if rotten == b"ab":
            two.services["a"].read_fails_after = 0
            await two.fetcher.read(number, 4 * MIB, 10)
            two.services["a"].read_fails_after = None
        await two.fetcher.fetch_all(number)
        assert two.life.read(b"file") == DATA
        assert {copy.entry for copy in two.suspected} == {"a"}


async def test_a_program_that_writes_waits_for_the_whole(one):
    number = one.adopt(DATA)
    async with one.running(), trio.open_nursery() as nursery:
        await nursery.start(one.life.catalog.run)
        handle = one.volume.open(number, write=True)
        assert not one.volume.settled_for_write(handle)
        await one.volume.make_writable(handle)
        one.volume.write(handle, 10, b"changed")
        one.volume.flush(handle)
        one.volume.release(handle)
        assert one.life.read(b"file") == DATA[:10] + b"changed" + DATA[17:]
        assert one.volume.inode(number).kind is Kind.FILE
        nursery.cancel_scope.cancel()


async def test_while_the_daemon_ends(one):
    number = one.adopt(DATA)
    told = []
    async with trio.open_nursery() as nursery, one.running():
        one.services["a"].reads_stall = trio.Event()

        async def reader(call):
            try:
                await call()
            except errors.ServiceError:
                told.append("down")

        nursery.start_soon(reader, partial(one.fetcher.read, number, 0, 10))
        nursery.start_soon(reader, partial(one.fetcher.fetch_all, number))
        await trio.testing.wait_all_tasks_blocked()
    assert told == ["down"] * 2
