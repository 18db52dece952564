"""The quota: who may still write, who may not, and what is told."""

import pytest
import trio

from onitufs.model import errors
from onitufs.model.ids import ROOT_INODE, Seq
from onitufs.volume.space import Space

from .conftest import Life

MIB = 1 << 20


@pytest.fixture
def small(life: Life) -> Life:
    """A volume of 20 MiB; the reserve is 1 MiB of them."""
    return limited(life, 20 * MIB)


def limited(life: Life, quota: int) -> Life:
    life.volume.space.quota = quota
    trio.run(life.content.usage.measure)
    life.volume.space.forget()
    return life


def used(life: Life) -> int:
    """As the next look finds it."""
    life.volume.space.forget()
    return 20 * MIB - MIB - life.volume.space.left


def settle(life: Life) -> None:
    life.content.sync_through(Seq(life.catalog.next_seq - 1))
    life.content.collect_through(Seq(life.catalog.next_seq - 1))


def test_what_is_written_is_counted_from_the_first_byte(small: Life) -> None:
    _, handle = small.volume.create(ROOT_INODE, b"a", 0o644, 0, 0)
    small.volume.write(handle, 0, bytes(3 * MIB))
    assert used(small) == 3 * MIB
    small.volume.flush(handle)
    assert used(small) == 3 * MIB
    small.volume.release(handle)
    assert used(small) == 3 * MIB


def test_what_is_unlinked_is_not_counted_any_more(small: Life) -> None:
    small.volume.history.keep_s = 0
    for name in (b"a", b"b", b"c"):
        small.make(name, bytes(2 * MIB))
    small.volume.unlink(ROOT_INODE, b"b")
    assert used(small) == 6 * MIB
    settle(small)
    assert used(small) == 4 * MIB


def test_what_earlier_runs_left_is_measured(small: Life) -> None:
    for name in (b"a", b"b", b"c"):
        small.make(name, bytes(2 * MIB))
    small.kill()
    limited(small, 20 * MIB)
    assert used(small) == 6 * MIB


def test_what_happens_while_it_is_measured_counts_once(small: Life) -> None:
    small.volume.history.keep_s = 0
    small.make(b"old", bytes(2 * MIB))
    small.make(b"other", bytes(2 * MIB))
    small.kill()
    small.volume.space.quota = 20 * MIB
    small.volume.history.keep_s = 0

    async def meanwhile() -> None:
        small.make(b"new", bytes(MIB))
        small.volume.unlink(ROOT_INODE, b"old")
        settle(small)

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(small.content.usage.measure)
            nursery.start_soon(meanwhile)

    trio.run(both)
    assert used(small) == 3 * MIB


def test_a_hole_takes_no_room(small: Life) -> None:
    _, handle = small.volume.create(ROOT_INODE, b"sparse", 0o644, 0, 0)
    small.volume.write(handle, 1 << 40, b"x")
    assert used(small) <= 64 << 10
    small.volume.flush(handle)
    small.volume.release(handle)
    assert used(small) <= 64 << 10


def test_below_the_reserve_nobody_begins_to_write(small: Life) -> None:
    small.make(b"a", bytes(18 * MIB))
    small.make(b"b", bytes(MIB))
    number = small.volume.lookup(ROOT_INODE, b"a").number
    with pytest.raises(errors.NoSpace):
        small.volume.create(ROOT_INODE, b"c", 0o644, 0, 0)
    with pytest.raises(errors.NoSpace):
        small.volume.open(number, write=True)
    with pytest.raises(errors.NoSpace):
        trio.run(small.volume.truncate, number, 30 * MIB)
    assert len(small.read(b"a")) == 18 * MIB
    small.volume.unlink(ROOT_INODE, b"b")


def test_late_write_back_may_use_the_reserve_and_then_the_file_is_incomplete(small: Life) -> None:
    inode, handle = small.volume.create(ROOT_INODE, b"a", 0o644, 0, 0)
    assert not small.volume.handles[handle].through
    small.volume.write(handle, 0, bytes(19 * MIB + 500_000))
    assert not inode.incomplete
    with pytest.raises(errors.NoSpace):
        small.volume.write(handle, 19 * MIB + 500_000, bytes(MIB))
    assert inode.incomplete
    small.kill()
    assert small.volume.lookup(ROOT_INODE, b"a").incomplete


def test_when_room_is_tight_write_itself_fails_and_the_file_is_as_the_program_knows_it(small: Life) -> None:
    small.make(b"a", bytes(18 * MIB))
    inode, handle = small.volume.create(ROOT_INODE, b"b", 0o644, 0, 0)
    assert small.volume.handles[handle].through
    small.volume.write(handle, 0, bytes(900_000))
    with pytest.raises(errors.NoSpace):
        small.volume.write(handle, 900_000, bytes(900_000))
    small.volume.write(handle, 0, bytes(900_000))  # takes no more room
    small.volume.flush(handle)
    assert not inode.incomplete
    assert inode.size == 900_000


def test_a_file_that_others_have_open_with_bytes_on_their_way(small: Life) -> None:
    """The kernel may bring those by either handle."""
    inode, _ = small.volume.create(ROOT_INODE, b"b", 0o644, 0, 0)
    small.make(b"a", bytes(18 * MIB))
    handle = small.volume.open(inode.number, write=True)
    assert small.volume.handles[handle].through
    small.volume.write(handle, 0, bytes(MIB + 500_000))  # from the reserve
    with pytest.raises(errors.NoSpace):
        small.volume.write(handle, MIB + 500_000, bytes(MIB))
    assert inode.incomplete


def test_the_reserve_of_a_small_quota_is_small(life: Life) -> None:
    space = Space(life.directory)
    assert space.reserve == 256 * MIB
    space.quota = 100 * MIB
    assert space.reserve == 5 * MIB
    space.quota = 1 << 40
    assert space.reserve == 256 * MIB


def test_statfs_tells_the_quota(small: Life) -> None:
    small.make(b"a", bytes(4 * MIB))
    small.volume.space.forget()
    room = small.volume.statfs()
    assert room.blocks * room.block == 20 * MIB
    assert room.available * room.block == room.free * room.block == 15 * MIB
