"""Names, links and file ids follow POSIX and the three identities."""

import stat

import pytest

from onitufs.catalog import keys
from onitufs.model import errors
from onitufs.model.ids import ROOT_INODE


def pending(life) -> set[int]:
    return {keys.number(key) for key, _ in life.catalog.scan(keys.UNSETTLED)}


def test_a_renamed_file_keeps_its_id_and_path_follows(life):
    file = life.make(b"a", b"1")
    folder = life.volume.make_directory(ROOT_INODE, b"d", 0o755, 0, 0)
    life.volume.rename(ROOT_INODE, b"a", folder.number, b"b")
    assert life.volume.path(file) == b"/d/b"
    life.volume.rename(ROOT_INODE, b"d", ROOT_INODE, b"e")
    assert life.volume.path(file) == b"/e/b"
    assert life.volume.resolve(b"/e/b")[0] == file


def test_rename_over_leaves_a_tombstone_of_what_was_replaced(life):
    old, new = life.make(b"a", b"old"), life.make(b"tmp", b"new")
    life.volume.rename(ROOT_INODE, b"tmp", ROOT_INODE, b"a")
    assert life.read(b"a") == b"new"
    assert life.volume.dirent(ROOT_INODE, b"a").file == new
    assert not life.volume.name(old).alive
    assert {old, new} <= pending(life)
    assert life.volume.files == 1


def test_exchange_swaps_names_not_ids(life):
    one, other = life.make(b"a", b"1"), life.make(b"b", b"2")
    life.volume.rename(ROOT_INODE, b"a", ROOT_INODE, b"b", exchange=True)
    assert (life.volume.path(one), life.volume.path(other)) == (b"/b", b"/a")
    assert life.read(b"a") == b"2"


def test_exchange_of_directories_in_two_parents_keeps_link_counts(life):
    make = life.volume.make_directory
    left, right = make(ROOT_INODE, b"l", 0o755, 0, 0), make(ROOT_INODE, b"r", 0o755, 0, 0)
    inner = make(left.number, b"in", 0o755, 0, 0)
    life.make(b"file", b"x", right.number)
    life.volume.rename(left.number, b"in", right.number, b"file", exchange=True)
    assert (left.nlink, right.nlink) == (2, 3)
    assert inner.parent == right.number
    assert life.read(b"in", left.number) == b"x"
    assert life.volume.directory_path(inner.number) == b"/r/file"


def test_hard_links_share_an_inode_and_have_ids_of_their_own(life):
    first = life.make(b"a", b"x")
    number = life.volume.dirent(ROOT_INODE, b"a").inode
    inode = life.volume.link(number, ROOT_INODE, b"b")
    assert inode.nlink == 2
    assert len(set(inode.files)) == 2
    assert inode.files[1] in pending(life)
    life.volume.unlink(ROOT_INODE, b"a")
    assert inode.nlink == 1
    assert first not in inode.files
    assert life.read(b"b") == b"x"


def test_rename_onto_another_name_of_the_same_file_does_nothing(life):
    life.make(b"a", b"x")
    life.volume.link(life.volume.dirent(ROOT_INODE, b"a").inode, ROOT_INODE, b"b")
    life.volume.rename(ROOT_INODE, b"a", ROOT_INODE, b"b")
    assert [name for name, _ in life.volume.list_directory(ROOT_INODE)] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("arrange", "act", "error"),
    [
        ("a/", lambda v: v.unlink(ROOT_INODE, b"a"), errors.IsDirectory),
        ("a", lambda v: v.remove_directory(ROOT_INODE, b"a"), errors.NotDirectory),
        ("", lambda v: v.unlink(ROOT_INODE, b"a"), errors.NoEntry),
        ("a b/", lambda v: v.rename(ROOT_INODE, b"a", ROOT_INODE, b"b"), errors.IsDirectory),
        ("a/ b", lambda v: v.rename(ROOT_INODE, b"a", ROOT_INODE, b"b"), errors.NotDirectory),
        ("a b", lambda v: v.rename(ROOT_INODE, b"a", ROOT_INODE, b"b", replace=False), errors.Exists),
        ("a", lambda v: v.rename(ROOT_INODE, b"a", ROOT_INODE, b"b", exchange=True), errors.NoEntry),
        ("a", lambda v: v.make_directory(ROOT_INODE, b"a", 0o755, 0, 0), errors.Exists),
        ("", lambda v: v.make_directory(ROOT_INODE, b"n" * 256, 0o755, 0, 0), errors.NameTooLong),
    ],
)  # fmt: skip
def test_what_posix_refuses_is_refused_and_changes_nothing(life, arrange, act, error):
    for word in arrange.split():
        if word.endswith("/"):
            life.volume.make_directory(ROOT_INODE, word[:-1].encode(), 0o755, 0, 0)
        else:
            life.make(word.encode(), b"x")
    seq = life.catalog.next_seq
    with pytest.raises(error):
        act(life.volume)
    assert life.catalog.next_seq == seq


def test_a_directory_cannot_go_below_itself_nor_be_removed_while_full(life):
    outer = life.volume.make_directory(ROOT_INODE, b"a", 0o755, 0, 0)
    inner = life.volume.make_directory(outer.number, b"b", 0o755, 0, 0)
    with pytest.raises(errors.Invalid):
        life.volume.rename(ROOT_INODE, b"a", inner.number, b"c")
    with pytest.raises(errors.NotEmpty):
        life.volume.remove_directory(ROOT_INODE, b"a")


def test_setgid_directories_hand_down_their_group(life):
    folder = life.volume.make_directory(ROOT_INODE, b"d", 0o2775, 0, 7)
    inner = life.volume.make_directory(folder.number, b"e", 0o755, 1, 1)
    assert inner.gid == 7
    assert inner.mode & stat.S_ISGID


def test_the_counts_survive_a_restart(life):
    life.make(b"a", b"x")
    life.make(b"b")
    life.volume.make_directory(ROOT_INODE, b"d", 0o755, 0, 0)
    life.volume.unlink(ROOT_INODE, b"b")
    counts = (life.volume.files, life.volume.directories, life.volume.unsettled)
    assert counts == (1, 1, 3)
    life.kill()
    assert (life.volume.files, life.volume.directories, life.volume.unsettled) == counts


def test_only_a_rename_that_matters_marks_what_is_below(life):
    moved = life.volume.make_directory(ROOT_INODE, b"a", 0o755, 0, 0)
    life.volume.rename_matters = lambda old, new: new == b"/x"
    life.volume.rename(ROOT_INODE, b"a", ROOT_INODE, b"b")
    assert life.catalog.get(keys.subtree(moved.number)) is None
    life.volume.rename(ROOT_INODE, b"b", ROOT_INODE, b"x")
    assert life.catalog.get(keys.subtree(moved.number)) is not None


def test_a_directory_that_changes_its_depth_is_looked_through_for_links(life):
    moved = life.volume.make_directory(ROOT_INODE, b"a", 0o755, 0, 0)
    other = life.volume.make_directory(ROOT_INODE, b"o", 0o755, 0, 0)
    life.volume.rename_matters = lambda old, new: False
    life.volume.rename(ROOT_INODE, b"a", other.number, b"a")
    assert life.catalog.get(keys.subtree(moved.number)) is not None


def test_live_inodes_are_let_go_but_not_the_open_and_the_erased_ones(life):
    volume = life.volume
    for name in (b"idle", b"open", b"open and gone", b"gone"):
        life.make(name, name)
    numbers = {name: volume.lookup(ROOT_INODE, name).number for name in (b"idle", b"open", b"open and gone", b"gone")}
    handles = [volume.open(numbers[name], write=True, truncate=True) for name in (b"open", b"open and gone")]
    volume.write(handles[0], 0, b"only the live inode knows this size")
    volume.unlink(ROOT_INODE, b"open and gone")
    volume.unlink(ROOT_INODE, b"gone")
    before = {name: volume.inode(number) for name, number in numbers.items()}
    volume.trim(at_most=0)
    after = {name: volume.inode(number) for name, number in numbers.items()}
    assert [name for name in numbers if after[name] is before[name]] == [b"open", b"open and gone", b"gone"]
    assert after[b"idle"] == before[b"idle"]
    for handle in handles:
        volume.release(handle)
