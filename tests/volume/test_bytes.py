"""Bytes, generations, and what a killed daemon leaves."""

import os

import pytest

from onitufs.catalog import keys
from onitufs.model import errors
from onitufs.model.ids import ROOT_INODE


def inode_of(life, name: bytes):
    return life.volume.lookup(ROOT_INODE, name)


def test_close_seals_one_generation_and_marks_the_file(life):
    file = life.make(b"a", b"hello")
    inode = inode_of(life, b"a")
    assert inode.generation
    assert inode.sealed_size == 5
    assert life.told[-1] == file


def test_a_close_without_a_change_seals_nothing(life):
    life.make(b"a", b"hello")
    inode = inode_of(life, b"a")
    before = inode.generation
    handle = life.volume.open(inode.number, write=True)
    life.volume.flush(handle)
    life.volume.release(handle)
    assert inode.generation == before


async def test_sealed_bytes_change_only_after_a_durable_hot_mark(life):
    life.make(b"a", b"hello")
    handle = life.volume.open(inode_of(life, b"a").number, write=True)
    assert not life.volume.settled_for_write(handle)
    with pytest.raises(AssertionError):
        life.volume.write(handle, 0, b"J")
    import trio

    async with trio.open_nursery() as nursery:
        await nursery.start(life.catalog.run)
        await life.volume.make_writable(handle)
        nursery.cancel_scope.cancel()
    assert life.volume.settled_for_write(handle)
    mark = life.catalog.next_seq - 1
    assert life.catalog.journal_durable(mark)
    life.volume.write(handle, 0, b"J")
    life.volume.flush(handle)
    life.volume.release(handle)
    assert life.read(b"a") == b"Jello"


def test_truncating_at_open_leaves_the_sealed_bytes_alone(life):
    file = life.make(b"a", b"hello")
    inode = inode_of(life, b"a")
    source = life.volume.source(file, inode.generation)
    handle = life.volume.open(inode.number, write=True, truncate=True)
    life.volume.write(handle, 0, b"new")
    assert source.read(0, 10) == b"hello"
    source.close()
    life.volume.flush(handle)
    life.volume.release(handle)
    assert life.read(b"a") == b"new"


def test_an_unlinked_file_lives_until_it_is_closed(life):
    life.make(b"a", b"hello")
    number = inode_of(life, b"a").number
    handle = life.volume.open(number, write=False)
    life.volume.unlink(ROOT_INODE, b"a")
    assert life.volume.read(handle, 0, 5) == b"hello"
    assert life.volume.inode(number).nlink == 0
    life.volume.release(handle)
    life.volume.forget(number)
    with pytest.raises(errors.NoEntry):
        life.volume.inode(number)


def test_a_killed_daemon_loses_no_closed_file_and_seals_the_open_one(life):
    life.make(b"closed", b"whole")
    _, handle = life.volume.create(ROOT_INODE, b"open", 0o644, 0, 0)
    life.volume.write(handle, 0, b"so far")
    life.kill()
    assert life.read(b"closed") == b"whole"
    assert life.read(b"open") == b"so far"
    assert inode_of(life, b"open").generation
    assert life.catalog.scan(keys.HOT) == []


def test_a_killed_daemon_removes_what_had_no_name_left(life):
    life.make(b"a", b"hello")
    number = inode_of(life, b"a").number
    life.volume.open(number, write=False)
    life.volume.unlink(ROOT_INODE, b"a")
    life.kill()
    with pytest.raises(errors.NoEntry):
        life.volume.inode(number)
    assert life.catalog.scan(keys.ORPHAN) == []


async def test_a_transfer_keeps_its_generation_while_programs_write_on(life):
    import trio

    file = life.make(b"a", os.urandom(3 << 20))
    inode = inode_of(life, b"a")
    sealed, generation = life.read(b"a"), inode.generation
    handle = life.volume.open(inode.number, write=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(life.catalog.run)
        await life.volume.make_writable(handle)
        nursery.cancel_scope.cancel()
    life.volume.write(handle, 1 << 20, b"x" * 4096)
    await life.volume.truncate(inode.number, 1 << 19)
    source = life.volume.source(file, generation)
    assert source.read(0, len(sealed)) == sealed
    source.close()


def test_late_writes_are_sealed_by_the_timer(life):
    import time

    _, handle = life.volume.create(ROOT_INODE, b"a", 0o644, 0, 0)
    life.volume.write(handle, 0, b"x")
    now = time.monotonic()
    life.volume.tick(now + 5)
    assert not inode_of(life, b"a").generation  # a program still writes: its close will seal
    life.volume.tick(now + 61)
    first = inode_of(life, b"a").generation
    assert first  # written without pause: sealed all the same


async def test_content_that_no_record_names_is_removed_after_a_start(life):
    import trio

    from onitufs.model.ids import ContentId
    from onitufs.volume.strays import remove_strays

    life.make(b"a", b"kept")
    stray = ContentId(life.catalog.next_seq + 5)
    os.close(life.content.create(stray))
    life.kill()
    assert stray in set(life.content.ids())
    async with trio.open_nursery() as nursery:
        await nursery.start(life.catalog.run)
        assert await remove_strays(life.catalog, life.content, life.catalog.next_seq) == 1
        await life.catalog.barrier(life.catalog.next_seq - 1)
        life.content.collect_through(life.catalog.next_seq)
        nursery.cancel_scope.cancel()
    assert stray not in set(life.content.ids())
    assert life.read(b"a") == b"kept"
