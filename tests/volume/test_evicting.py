"""Which bytes may be let go of as far as this machine can tell, and what a crash leaves of that."""

import trio

from onitufs.model.ids import ROOT_INODE, Seq
from onitufs.volume.pins import Pins

from .conftest import Life


def inode_of(life: Life, name: bytes):
    return life.volume.lookup(ROOT_INODE, name)


def settle(life: Life) -> None:
    life.content.sync_through(Seq(life.catalog.next_seq - 1))
    life.content.collect_through(Seq(life.catalog.next_seq - 1))
    life.catalog.durable_seq = Seq(life.catalog.next_seq - 1)


def test_one_record_and_then_the_bytes_go(life: Life) -> None:
    life.make(b"a", b"hello")
    settle(life)
    inode = inode_of(life, b"a")
    assert life.volume.why_not_evictable(inode) == ""
    life.volume.evict(inode.number, inode.generation, "text/plain")
    assert len(list(life.content.ids())) == 1  # until that is on disk
    before = (inode.number, inode.generation, inode.size, inode.mtime_ns)
    settle(life)
    assert list(life.content.ids()) == []
    life.kill()
    after = inode_of(life, b"a")
    assert after.absent
    assert after.media_type == "text/plain"
    assert (after.number, after.generation, after.size, after.mtime_ns) == before


def test_what_has_to_stay(life: Life) -> None:
    life.make(b"a", b"hello")
    inode = inode_of(life, b"a")
    assert life.volume.why_not_evictable(inode) == "it is not yet safe on this disk"
    settle(life)
    handle = life.volume.open(inode.number, write=False)
    assert life.volume.why_not_evictable(inode) == "a program has it open"
    life.volume.release(handle)
    source = life.volume.source(inode.files[0], inode.generation)
    assert life.volume.why_not_evictable(inode) == "it is being read"
    source.close()
    inode.incomplete = True
    assert life.volume.why_not_evictable(inode) == "it is not saved as a whole"
    inode.incomplete = False
    assert life.volume.why_not_evictable(inode) == ""
    life.make(b"empty")
    settle(life)
    assert life.volume.why_not_evictable(inode_of(life, b"empty")) == "it has no bytes"
    assert life.volume.why_not_evictable(life.volume.peek(ROOT_INODE)) == "it has no bytes"


async def test_what_was_changed_in_place_just_now_has_to_stay(life: Life) -> None:
    life.make(b"a", b"hello")
    number = inode_of(life, b"a").number
    handle = life.volume.open(number, write=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(life.catalog.run)
        await life.volume.make_writable(handle)
        nursery.cancel_scope.cancel()
    life.volume.write(handle, 0, b"J")
    life.volume.flush(handle)
    life.volume.release(handle)
    settle(life)
    assert life.volume.why_not_evictable(inode_of(life, b"a")) == "it was written just now"


def test_what_is_used_is_colder_than_what_was_used_later(life: Life) -> None:
    for name in (b"a", b"b", b"c"):
        life.make(name, b"data")
    life.kill()
    order = [inode_of(life, name) for name in (b"a", b"b", b"c")]
    life.volume.note_use(order[0].number, 5.0)
    life.volume.note_use(order[1].number, 4.0)
    assert sorted(order, key=life.volume.rank) == [order[2], order[1], order[0]]


def test_pins_hang_on_the_file_and_cover_what_is_below(life: Life) -> None:
    directory = life.volume.make_directory(ROOT_INODE, b"d", 0o755, 0, 0)
    file = life.make(b"a", b"data", directory.number)
    other = life.make(b"b", b"data")
    pins = Pins(life.catalog, life.volume)
    pins.pin(directory.files[0])
    life.volume.rename(ROOT_INODE, b"d", ROOT_INODE, b"e")
    life.kill()
    pins = Pins(life.catalog, life.volume)
    inside = life.volume.peek(life.volume.name(file).inode)
    outside = life.volume.peek(life.volume.name(other).inode)
    assert pins.holder(inside) == directory.files[0]
    assert pins.holder(outside) is None
    life.volume.rename(directory.number, b"a", ROOT_INODE, b"a")
    assert pins.holder(inside) is None
    assert pins.unpin(directory.files[0])
    assert not pins.unpin(directory.files[0])
    assert not pins.any


def test_a_pin_goes_with_what_is_deleted(life: Life) -> None:
    file = life.make(b"a", b"data")
    pins = Pins(life.catalog, life.volume)
    pins.pin(file)
    assert pins.all() == [file]
    life.volume.unlink(ROOT_INODE, b"a")
    assert pins.all() == []
    assert not pins.any


def test_truncating_what_is_absent_needs_no_bytes(life: Life) -> None:
    life.make(b"a", b"hello")
    settle(life)
    inode = inode_of(life, b"a")
    life.volume.evict(inode.number, inode.generation, "")
    handle = life.volume.open(inode.number, write=True, truncate=True)
    life.volume.write(handle, 0, b"new")
    life.volume.flush(handle)
    life.volume.release(handle)
    settle(life)
    assert life.read(b"a") == b"new"
    assert life.volume.history.versions == 0
