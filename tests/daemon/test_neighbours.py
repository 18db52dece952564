"""Who reads the small files of a directory one after the other has the next ones fetched ahead. Time is simulated."""

import os
import random

import pytest
import trio
import trio.testing
from blake3 import blake3

from onitufs.daemon import fetching, neighbours
from onitufs.drivers.memory.driver import Memory
from onitufs.model import errors
from onitufs.model.ids import ROOT_INODE, InodeNumber

from .far import FarAway

CONTENTS = {b"%03d" % number: os.urandom(1 + 17 * number) for number in range(300)}


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def adopt(far: FarAway, *, on: tuple[str, ...] = ()) -> dict[bytes, InodeNumber]:
    return {
        name: far.adopt(data, name, digest=blake3(data).digest(), on=on) for name, data in CONTENTS.items()
    }  # fmt: skip


def here(far: FarAway, numbers: dict[bytes, InodeNumber]) -> list[bytes]:
    return [name for name, number in numbers.items() if not far.volume.peek(number).absent]


async def test_all_of_them_in_order(one):
    numbers = adopt(one)
    async with one.running():
        for name, number in numbers.items():
            await one.fetcher.fetch_all(number)
            assert one.life.read(name) == CONTENTS[name]
        assert one.calls("a", "read_many") <= 10
        assert one.readings("a") <= 20  # each time at the end of what was fetched ahead
        assert not one.fetcher.half_fetched


async def test_a_few_at_a_time(one):
    """Readers side by side take them in about that order."""
    numbers = adopt(one)
    names = iter(numbers)
    async with one.running():

        async def read() -> None:
            for name in names:
                await one.fetcher.fetch_all(numbers[name])
                assert one.life.read(name) == CONTENTS[name]

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(read)
        assert len(here(one, numbers)) == len(CONTENTS)
        assert one.calls("a", "read_many") <= 10
        assert one.readings("a") <= len(CONTENTS) / 4


async def test_here_and_there_is_no_order(one):
    numbers = adopt(one)
    names = list(numbers)
    random.Random(3).shuffle(names)
    async with one.running():
        for name in names[:40]:
            await one.fetcher.fetch_all(numbers[name])
        assert len(here(one, numbers)) <= 40 + 2 * neighbours.LEAST


async def test_three_are_no_order_either(one):
    numbers = adopt(one)
    async with one.running():
        for name in list(numbers)[: neighbours.AFTER - 1]:
            await one.fetcher.fetch_all(numbers[name])
        await trio.testing.wait_all_tasks_blocked()
        assert len(here(one, numbers)) == neighbours.AFTER - 1


async def test_little_comes_in_vain(one):
    numbers = adopt(one)
    async with one.running():
        for name in list(numbers)[:20]:
            await one.fetcher.fetch_all(numbers[name])
        await trio.sleep(100)
        assert len(here(one, numbers)) <= 20 + neighbours.MOST


async def test_what_is_not_as_it_was_known_is_for_who_needs_it(one):
    numbers = adopt(one)
    async with one.running():
        one.services["a"].edit((b"010",), b"others did this")
        one.services["a"].delete((b"011",))
        for name, number in numbers.items():
            if name in (b"010", b"011"):
                with pytest.raises(errors.Stale):
                    await one.fetcher.fetch_all(number)
                assert one.volume.peek(number).absent
            else:
                await one.fetcher.fetch_all(number)
                assert one.life.read(name) == CONTENTS[name]
        assert one.calls("a", "read_many") <= 12


async def test_other_bytes_than_were_known_never_get_in(one):
    """Of the same rev and size."""
    numbers = adopt(one)
    node = one.services["a"].nodes[b"020",]
    node.data = bytes(len(node.data))
    async with one.running():
        for name in [name for name in numbers if name < b"020"]:
            await one.fetcher.fetch_all(numbers[name])
        await trio.sleep(100)
        assert b"021" in here(one, numbers)
        assert one.volume.peek(numbers[b"020"]).absent


async def test_a_call_for_many_that_hangs_holds_nobody_for_long(one):
    numbers = adopt(one)
    async with one.running():

        async def hang(what, path):
            if what == "read_many":
                await trio.sleep_forever()

        one.services["a"].hook = hang
        for name in list(numbers)[: neighbours.AFTER]:
            await one.fetcher.fetch_all(numbers[name])
        began = trio.current_time()
        await one.fetcher.fetch_all(numbers[b"005"])
        assert one.life.read(b"005") == CONTENTS[b"005"]
        assert trio.current_time() - began == pytest.approx(fetching.STALL_S, abs=1)


async def test_another_entry_goes_on(two):
    numbers = adopt(two)
    async with two.running():
        for count, (name, number) in enumerate(numbers.items()):
            if count == 40:
                for plug in two.plugs.values():
                    if plug.entry == "a":
                        plug.pause()
            await two.fetcher.fetch_all(number)
            assert two.life.read(name) == CONTENTS[name]


async def test_a_driver_that_reads_one_file_at_a_time(one, monkeypatch):
    """Then several of them are read at one time, as far as the entry is far away."""
    monkeypatch.delattr(Memory, "read_many")
    numbers = adopt(one)

    async def far(what, path):
        await trio.sleep(0.05)

    one.services["a"].hook = far
    async with one.running():
        for name, number in numbers.items():
            await one.fetcher.fetch_all(number)
            assert one.life.read(name) == CONTENTS[name]
            if name == b"009":
                await trio.sleep(1)
                assert len(here(one, numbers)) > 10
        assert one.readings("a") == len(CONTENTS)


async def test_an_entry_nearby_is_read_one_file_at_a_time(one, monkeypatch):
    monkeypatch.delattr(Memory, "read_many")
    numbers = adopt(one)
    one.velocities["a"] = 1.0
    async with one.running():
        for name in list(numbers)[:10]:
            await one.fetcher.fetch_all(numbers[name])
        await trio.testing.wait_all_tasks_blocked()
        assert len(here(one, numbers)) == 10


async def test_large_ones_are_left_out(one):
    numbers = adopt(one)
    large = one.adopt(os.urandom(neighbours.SMALL_BYTES + 1), b"0055")
    async with one.running():
        for name in list(numbers)[:50]:
            await one.fetcher.fetch_all(numbers[name])
        assert one.volume.peek(large).absent


async def test_a_file_without_a_name_is_nobodys_neighbour(one):
    """It was deleted while a program had it open."""
    numbers = adopt(one)
    async with one.running():
        handle = one.volume.open(numbers[b"000"], write=False)
        one.volume.unlink(ROOT_INODE, b"000")
        with pytest.raises(errors.Stale):
            await one.fetcher.fetch_all(numbers[b"000"])
        one.volume.release(handle)


@pytest.mark.parametrize("after_calls", range(2, 9))
async def test_a_bug_in_fetching_ahead_is_no_readers(one, monkeypatch, after_calls):
    """Neither of who makes it look for the next ones, nor of the daemon that goes on with it."""
    numbers = adopt(one)
    real, calls = one.volume.list_directory, []

    def fails(directory, after=b"", limit=1000):
        calls.append(limit)
        if len(calls) > after_calls:
            raise ZeroDivisionError("planted")
        return real(directory, after, limit)

    monkeypatch.setattr(one.volume, "list_directory", fails)
    async with one.running():
        for name, number in numbers.items():
            await one.fetcher.fetch_all(number)
            assert one.life.read(name) == CONTENTS[name]
    assert len(calls) > after_calls
