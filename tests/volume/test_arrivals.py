"""What is found and changed on entries comes into the tree by one record each."""

import stat

import pytest
import trio

from onitufs.catalog import keys
from onitufs.catalog.records import pack_value, unpack_value
from onitufs.model import errors
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_INODE

BESIDE = keys.meta("beside")


def also(file, generation):
    return {BESIDE: pack_value((file, generation))}


def beside(life):
    return unpack_value(life.catalog.get(BESIDE))


def adopt(life, name=b"a", kind=Kind.FILE, **more):
    given = {"size": 5, "mtime_ns": 7, "mode": 0o4640, "also": also} | more
    return life.volume.adopt(ROOT_INODE, name, kind, **given)


def inode_of(life, name=b"a"):
    return life.volume.lookup(ROOT_INODE, name)


def one_record(life, act):
    before = life.catalog.next_seq
    act()
    assert life.catalog.next_seq == before + 1


def test_a_file_is_adopted_with_its_copy_in_one_record(life):
    one_record(life, lambda: adopt(life))
    inode = inode_of(life)
    assert (inode.size, inode.sealed_size, inode.mtime_ns, inode.sealed_mtime_ns) == (5, 5, 7, 7)
    assert inode.mode == stat.S_IFREG | 0o640
    assert inode.absent
    assert inode.content == 0
    assert beside(life) == (inode.files[0], inode.generation)
    assert life.told == [inode.files[0]]
    assert life.volume.files == 1
    life.kill()
    assert inode_of(life) == inode
    assert life.volume.is_quiet(inode.files[0])


def test_directories_and_links_are_adopted_whole(life):
    adopt(life, b"d", Kind.DIRECTORY, mode=0o750)
    adopt(life, b"l", Kind.SYMLINK, target=b"d/x")
    folder, link = inode_of(life, b"d"), inode_of(life, b"l")
    assert (folder.mode, folder.nlink, folder.absent, folder.generation) == (stat.S_IFDIR | 0o750, 2, False, 0)
    assert (link.target, link.size, link.absent) == (b"d/x", 3, False)
    assert link.generation
    assert life.volume.inode(ROOT_INODE).nlink == 3


def test_a_name_that_is_taken_is_not_adopted(life):
    life.make(b"a", b"mine")
    with pytest.raises(errors.Exists):
        adopt(life)
    assert life.catalog.get(BESIDE) is None


def test_changed_bytes_get_a_new_inode_under_the_same_name_and_file_id(life):
    file = life.make(b"a", b"old")
    old = inode_of(life)
    one_record(life, lambda: life.volume.replace_content(file, size=9, mtime_ns=8, mode=0o600, also=also))
    new = inode_of(life)
    assert new.number != old.number
    assert new.generation > old.generation
    assert (new.files, new.size, new.absent, new.mode) == ((file,), 9, True, stat.S_IFREG | 0o600)
    assert beside(life) == (file, new.generation)
    assert life.volume.name(file).inode == new.number
    assert life.catalog.get(keys.inode(old.number)) is None
    life.kill()
    assert inode_of(life) == new


def test_a_hard_link_keeps_the_old_bytes(life):
    file = life.make(b"a", b"old")
    life.volume.link(inode_of(life).number, ROOT_INODE, b"b")
    life.volume.replace_content(file, size=9, mtime_ns=8, mode=0o600, also=also)
    assert life.read(b"b") == b"old"
    assert inode_of(life, b"b").nlink == 1
    assert inode_of(life, b"b").number != inode_of(life, b"a").number


def test_who_has_it_open_goes_on_with_the_old_bytes(life):
    file = life.make(b"a", b"old")
    handle = life.volume.open(inode_of(life).number, write=False)
    life.volume.replace_content(file, size=9, mtime_ns=8, mode=0o600, also=also)
    assert life.volume.read(handle, 0, 9) == b"old"
    life.volume.release(handle)


def test_extended_attributes_stay_with_the_file(life):
    file = life.make(b"a", b"old")
    life.volume.set_xattr(inode_of(life).number, b"user.tag", b"1")
    life.volume.replace_content(file, size=9, mtime_ns=8, mode=0o600, also=also)
    assert life.volume.get_xattr(inode_of(life).number, b"user.tag") == b"1"


def test_what_has_unsealed_bytes_is_not_quiet(life):
    inode, handle = life.volume.create(ROOT_INODE, b"a", 0o644, 0, 0)
    (file,) = inode.files
    assert not life.volume.is_quiet(file)
    life.volume.write(handle, 0, b"x")
    life.volume.flush(handle)
    assert life.volume.is_quiet(file)
    life.volume.release(handle)
    life.volume.unlink(ROOT_INODE, b"a")
    assert not life.volume.is_quiet(file)


def overtaken(life):
    """A program writes to a file whose name is given to other bytes meanwhile. The file id, and the handle."""
    inode, handle = life.volume.create(ROOT_INODE, b"a", 0o644, 0, 0)
    life.volume.flush(handle)
    file = inode.files[0]
    life.volume.replace_content(file, size=9, mtime_ns=8, mode=0o600, also=also)
    assert life.volume.is_overtaken(inode.number)
    return inode, handle, file


async def test_what_a_program_saves_to_an_overtaken_file_can_get_a_name(life):
    _, handle, file = overtaken(life)
    async with trio.open_nursery() as nursery:
        await nursery.start(life.catalog.run)
        await life.volume.make_writable(handle)
        nursery.cancel_scope.cancel()
    told = []

    def rescue(was, number):
        told.append((was, life.volume.give_name(number, ROOT_INODE, b"a (mine)")))

    life.volume.overtaken = rescue
    life.volume.write(handle, 0, b"mine")
    life.volume.flush(handle)
    ((was, now),) = told
    assert was == file
    assert now != file
    assert inode_of(life, b"a (mine)").generation
    life.volume.release(handle)
    assert life.read(b"a (mine)") == b"mine"
    assert inode_of(life, b"a").absent
    life.kill()
    assert life.read(b"a (mine)") == b"mine"


def test_who_only_reads_an_overtaken_file_makes_no_other(life):
    inode, handle, _ = overtaken(life)
    life.volume.overtaken = lambda was, number: pytest.fail("nothing was written")
    life.volume.flush(handle)
    life.volume.release(handle)
    assert not life.volume.is_overtaken(inode.number)
    with pytest.raises(errors.NoInode):
        life.volume.give_name(inode.number, ROOT_INODE, b"late")


def test_an_absent_file_is_neither_read_nor_sent_as_if_it_were_here(life):
    file = adopt(life)
    inode = inode_of(life)
    assert life.volume.head(inode) == b""
    with pytest.raises(errors.Stale):
        life.volume.source(file, inode.generation)


def test_emptying_an_absent_file_makes_it_present(life):
    adopt(life)
    number = inode_of(life).number
    handle = life.volume.open(number, write=True, truncate=True)
    life.volume.release(handle)
    assert not inode_of(life).absent
    assert life.read(b"a") == b""


def test_an_absent_file_is_renamed_linked_and_removed_like_any(life):
    file = adopt(life)
    life.volume.link(inode_of(life).number, ROOT_INODE, b"b")
    life.volume.rename(ROOT_INODE, b"a", ROOT_INODE, b"c")
    assert life.volume.path(file) == b"/c"
    life.volume.unlink(ROOT_INODE, b"c")
    assert inode_of(life, b"b").absent
    life.make(b"d", b"other")
    life.volume.rename(ROOT_INODE, b"d", ROOT_INODE, b"b")
    assert life.read(b"b") == b"other"
    life.kill()
    assert life.read(b"b") == b"other"


def test_a_hot_mark_that_a_power_cut_left_seals_no_absent_bytes(life):
    adopt(life)
    inode = inode_of(life)
    life.catalog.commit({keys.hot(inode.number): keys.ANY_CONTENT})
    life.kill()
    assert inode_of(life) == inode
    assert life.catalog.scan(keys.HOT) == []
