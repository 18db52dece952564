"""What history keeps, for how long, and how it comes back."""

import itertools
import os

import pytest
import trio

from onitufs.catalog import keys
from onitufs.model import errors
from onitufs.model.ids import ROOT_INODE, Seq
from onitufs.volume import history
from onitufs.volume.strays import remove_strays

from .conftest import Life

DAY_NS = 86400 * 10**9
_SECONDS = itertools.count(1e6, 100)


def versions(life: Life, *, brief: bool = False) -> list[tuple[bytes, str, int]]:
    return [(k.version.path, k.version.why, k.version.size) for k in life.volume.history.scan(brief=brief)]


def grow_older(life: Life) -> None:
    """What was made so far was made more than a few seconds ago."""
    now_s = next(_SECONDS)
    life.volume.history.tick(now_s)
    life.volume.history.tick(now_s + history.YOUNG_S)


def old(life: Life, name: bytes, data: bytes) -> int:
    file = life.make(name, data)
    grow_older(life)
    return file


def overwrite(life: Life, name: bytes, data: bytes) -> None:
    inode = life.volume.lookup(ROOT_INODE, name)
    handle = life.volume.open(inode.number, write=True, truncate=True)
    life.volume.write(handle, 0, data)
    life.volume.flush(handle)
    life.volume.release(handle)


def settle(life: Life) -> None:
    """A barrier, and everything let go of is unlinked."""
    life.content.sync_through(Seq(life.catalog.next_seq - 1))
    life.content.collect_through(Seq(life.catalog.next_seq - 1))


def only(life: Life, *, brief: bool = False) -> history.Kept:
    (kept,) = life.volume.history.scan(brief=brief)
    return kept


def test_what_is_deleted_replaced_or_truncated_is_kept(life: Life) -> None:
    for name in (b"deleted", b"replaced", b"truncated"):
        life.make(name, b"old " + name)
    old(life, b"new", b"new")
    life.volume.unlink(ROOT_INODE, b"deleted")
    life.volume.rename(ROOT_INODE, b"new", ROOT_INODE, b"replaced")
    overwrite(life, b"truncated", b"x")
    assert versions(life) == [
        (b"/deleted", "deleted", 11),
        (b"/replaced", "replaced", 12),
        (b"/truncated", "truncated", 13),
    ]
    settle(life)
    for kept in life.volume.history.scan(brief=False):
        fd = life.content.open(kept.content)
        assert os.pread(fd, 100, 0) == b"old " + kept.version.name
        os.close(fd)


def test_truncating_by_path_is_kept_as_well(life: Life) -> None:
    old(life, b"a", b"hello")
    trio.run(life.volume.truncate, life.volume.lookup(ROOT_INODE, b"a").number, 0)
    assert versions(life) == [(b"/a", "truncated", 5)]


def test_nothing_is_kept_of_what_holds_nothing_or_has_another_name(life: Life) -> None:
    life.make(b"empty")
    old(life, b"linked", b"data")
    life.volume.link(life.volume.lookup(ROOT_INODE, b"linked").number, ROOT_INODE, b"other")
    _, handle = life.volume.create(ROOT_INODE, b"never sealed", 0o644, 0, 0)
    life.volume.write(handle, 0, b"data")
    for name in (b"empty", b"linked", b"never sealed"):
        life.volume.unlink(ROOT_INODE, name)
    life.volume.release(handle)
    assert life.volume.history.versions == 0
    life.volume.unlink(ROOT_INODE, b"other")
    assert versions(life) == [(b"/other", "deleted", 4)]


def test_off_means_off(life: Life) -> None:
    life.volume.history.keep_s = 0
    old(life, b"a", b"hello")
    content = life.volume.lookup(ROOT_INODE, b"a").content
    life.volume.unlink(ROOT_INODE, b"a")
    assert life.volume.history.versions == 0
    settle(life)
    assert content not in list(life.content.ids())


# -- what programs make for moments --------------------------------------------------------------------------------


def test_what_lived_for_moments_is_kept_for_moments(life: Life) -> None:
    life.make(b"scratch", b"data")
    life.volume.unlink(ROOT_INODE, b"scratch")
    assert versions(life) == []
    assert versions(life, brief=True) == [(b"/scratch", "deleted", 4)]


def test_a_name_that_is_never_placed_is_kept_for_moments(life: Life) -> None:
    life.volume.history.fleeting = lambda path: path.endswith(b".swp")
    old(life, b".a.swp", b"data")
    life.volume.unlink(ROOT_INODE, b".a.swp")
    assert versions(life, brief=True) == [(b"/.a.swp", "deleted", 4)]


def test_a_program_that_moves_the_old_version_aside_and_deletes_it_there(life: Life) -> None:
    """It is listed under the name that the person knows, and not taken for a temporary file."""
    life.volume.history.fleeting = lambda path: path.endswith(b"~")
    old(life, b"letter", b"old")
    life.volume.rename(ROOT_INODE, b"letter", ROOT_INODE, b"letter~")
    life.make(b"letter", b"new")
    life.volume.unlink(ROOT_INODE, b"letter~")
    assert versions(life) == [(b"/letter", "deleted", 3)]


def test_a_program_that_saves_by_exchange(life: Life) -> None:
    old(life, b"letter", b"old")
    life.make(b"tmp", b"new")
    life.volume.rename(ROOT_INODE, b"tmp", ROOT_INODE, b"letter", exchange=True)
    life.volume.unlink(ROOT_INODE, b"tmp")
    assert versions(life) == [(b"/letter", "deleted", 3)]


def test_a_new_file_under_its_final_name_is_known_by_that(life: Life) -> None:
    life.make(b"tmp", b"new")
    life.volume.rename(ROOT_INODE, b"tmp", ROOT_INODE, b"letter")
    life.volume.unlink(ROOT_INODE, b"letter")
    assert versions(life, brief=True) == [(b"/letter", "deleted", 3)]


def test_long_after_a_rename_the_new_name_is_the_one_that_counts(life: Life) -> None:
    old(life, b"a", b"data")
    life.volume.rename(ROOT_INODE, b"a", ROOT_INODE, b"b")
    life.volume.history.tick(1e12)
    life.volume.unlink(ROOT_INODE, b"b")
    assert versions(life) == [(b"/b", "deleted", 4)]


# -- files that are open -------------------------------------------------------------------------------------------


def test_deleted_while_somebody_reads_it(life: Life) -> None:
    old(life, b"film", b"frames")
    number = life.volume.lookup(ROOT_INODE, b"film").number
    handle = life.volume.open(number, write=False)
    life.volume.unlink(ROOT_INODE, b"film")
    assert versions(life) == [(b"/film", "deleted", 6)]
    life.volume.release(handle)
    settle(life)
    life.volume.restore(only(life), ROOT_INODE, b"film")
    assert life.read(b"film") == b"frames"


async def test_deleted_while_somebody_writes_it_all_that_was_written_is_kept(life: Life) -> None:
    old(life, b"log", b"one\n")
    number = life.volume.lookup(ROOT_INODE, b"log").number
    handle = life.volume.open(number, write=True)
    await thaw(life, handle)
    life.volume.unlink(ROOT_INODE, b"log")
    assert only(life).version.generation == 0
    life.volume.write(handle, 4, b"two\n")
    life.volume.flush(handle)
    life.volume.release(handle)
    assert versions(life) == [(b"/log", "deleted", 8)]
    assert life.volume.history.bytes == history.LEAST_COST
    life.volume.restore(only(life), ROOT_INODE, b"log")
    assert life.read(b"log") == b"one\ntwo\n"


async def thaw(life: Life, handle) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(life.catalog.run)
        await life.volume.make_writable(handle)
        nursery.cancel_scope.cancel()


async def test_restored_while_somebody_still_writes_it(life: Life) -> None:
    """It is the same inode again: what is written afterwards is written to it."""
    old(life, b"log", b"one\n")
    number = life.volume.lookup(ROOT_INODE, b"log").number
    handle = life.volume.open(number, write=True)
    await thaw(life, handle)
    life.volume.unlink(ROOT_INODE, b"log")
    life.volume.restore(only(life), ROOT_INODE, b"log")
    assert life.volume.lookup(ROOT_INODE, b"log").number == number
    life.volume.write(handle, 4, b"two\n")
    life.volume.flush(handle)
    life.volume.release(handle)
    settle(life)
    assert life.read(b"log") == b"one\ntwo\n"
    assert life.volume.history.versions == 0
    life.kill()
    assert life.read(b"log") == b"one\ntwo\n"


def test_emptied_after_it_was_deleted_while_open(life: Life) -> None:
    old(life, b"a", b"hello")
    number = life.volume.lookup(ROOT_INODE, b"a").number
    handle = life.volume.open(number, write=True)
    life.volume.unlink(ROOT_INODE, b"a")
    trio.run(life.volume.truncate, number, 0)
    life.volume.release(handle)
    settle(life)
    life.volume.restore(only(life), ROOT_INODE, b"a")
    assert life.read(b"a") == b"hello"


def test_expired_while_somebody_still_reads_it(life: Life) -> None:
    old(life, b"a", b"hello")
    handle = life.volume.open(life.volume.lookup(ROOT_INODE, b"a").number, write=False)
    life.volume.unlink(ROOT_INODE, b"a")
    assert life.volume.expire(free=1) == history.LEAST_COST
    settle(life)
    assert life.volume.read(handle, 0, 10) == b"hello"
    life.volume.release(handle)
    settle(life)
    assert list(life.content.ids()) == []


def test_expired_while_open_and_given_a_name_again(life: Life) -> None:
    file = old(life, b"a", b"hello")
    number = life.volume.lookup(ROOT_INODE, b"a").number
    handle = life.volume.open(number, write=True)
    life.volume.replace_content(file, size=3, mtime_ns=0, mode=0o644, also=lambda file, generation: {})
    assert life.volume.expire(free=1)
    settle(life)
    life.volume.give_name(number, ROOT_INODE, b"b")
    life.volume.release(handle)
    settle(life)
    assert life.read(b"b") == b"hello"


def test_killed_while_a_deleted_file_was_open(life: Life) -> None:
    old(life, b"a", b"hello")
    life.volume.open(life.volume.lookup(ROOT_INODE, b"a").number, write=False)
    life.volume.unlink(ROOT_INODE, b"a")
    life.kill()
    settle(life)
    life.volume.restore(only(life), ROOT_INODE, b"a")
    assert life.read(b"a") == b"hello"


# -- restoring -----------------------------------------------------------------------------------------------------


def test_restoring_keeps_mode_owner_and_time_and_is_a_new_generation(life: Life) -> None:
    old(life, b"a", b"hello")
    before = life.volume.lookup(ROOT_INODE, b"a")
    life.volume.set_attributes(before.number, mode=0o604, uid=7, gid=8, mtime_ns=123456789)
    life.volume.unlink(ROOT_INODE, b"a")
    life.kill()
    file = life.volume.restore(only(life), ROOT_INODE, b"b")
    life.kill()
    after = life.volume.lookup(ROOT_INODE, b"b")
    assert (after.mode & 0o7777, after.uid, after.gid, after.mtime_ns, after.size) == (0o604, 7, 8, 123456789, 5)
    assert after.generation > before.generation
    assert after.number != before.number
    assert life.catalog.get(keys.unsettled(file)) is not None
    assert life.read(b"b") == b"hello"
    assert life.volume.files == 1


def test_restoring_over_a_file_keeps_that_one_and_its_file_id(life: Life) -> None:
    file = old(life, b"a", b"first")
    overwrite(life, b"a", b"second")
    grow_older(life)
    number = life.volume.lookup(ROOT_INODE, b"a").number
    assert life.volume.restore(only(life), ROOT_INODE, b"a") == file
    assert life.volume.lookup(ROOT_INODE, b"a").number != number
    assert life.read(b"a") == b"first"
    assert versions(life) == [(b"/a", "replaced", 6)]
    life.volume.restore(only(life), ROOT_INODE, b"a")
    assert life.read(b"a") == b"second"
    assert life.volume.files == 1
    life.kill()
    settle(life)
    assert life.read(b"a") == b"second"
    assert versions(life) == [(b"/a", "replaced", 5)]


def test_restoring_over_what_is_no_file_changes_nothing(life: Life) -> None:
    old(life, b"a", b"hello")
    life.volume.unlink(ROOT_INODE, b"a")
    life.volume.make_directory(ROOT_INODE, b"a", 0o755, 0, 0)
    with pytest.raises(errors.Exists):
        life.volume.restore(only(life), ROOT_INODE, b"a")
    assert life.volume.history.versions == 1


def test_a_version_can_be_restored_once(life: Life) -> None:
    old(life, b"a", b"hello")
    life.volume.unlink(ROOT_INODE, b"a")
    kept = only(life)
    life.volume.restore(kept, ROOT_INODE, b"a")
    with pytest.raises(errors.NoEntry):
        life.volume.restore(kept, ROOT_INODE, b"b")


def test_it_is_found_under_the_name_that_its_directory_has_now(life: Life) -> None:
    directory = life.volume.make_directory(ROOT_INODE, b"d", 0o755, 0, 0)
    life.make(b"a", b"hello", directory.number)
    grow_older(life)
    life.volume.unlink(directory.number, b"a")
    life.volume.rename(ROOT_INODE, b"d", ROOT_INODE, b"e")
    assert life.volume.history.path_now(only(life).version) == b"/e/a"
    life.volume.remove_directory(ROOT_INODE, b"e")
    assert life.volume.history.path_now(only(life).version) == b"/d/a"


def test_by_whom(life: Life) -> None:
    for name in (b"a", b"b"):
        life.make(name, b"data")
    grow_older(life)
    with life.volume.history.on_behalf_of("nas"):
        life.volume.unlink(ROOT_INODE, b"a")
    life.volume.unlink(ROOT_INODE, b"b")
    assert [kept.version.by for kept in life.volume.history.scan(brief=False)] == ["nas", ""]


# -- letting go ----------------------------------------------------------------------------------------------------


def test_what_is_due_is_let_go_of_and_unlinked_only_when_that_is_on_disk(life: Life) -> None:
    now = [life.volume.now_ns()]
    life.volume.history._now_ns = lambda: now[0]
    old(life, b"a", b"hello")
    life.volume.unlink(ROOT_INODE, b"a")
    now[0] += 20 * DAY_NS
    life.make(b"b", b"hello")
    grow_older(life)
    life.volume.unlink(ROOT_INODE, b"b")
    assert life.volume.expire() == 0
    now[0] += 11 * DAY_NS
    assert life.volume.expire() == history.LEAST_COST
    assert versions(life) == [(b"/b", "deleted", 5)]
    life.content.collect_through(Seq(life.catalog.next_seq - 2))
    assert len(list(life.content.ids())) == 2
    settle(life)
    assert list(life.content.ids()) == [only(life).content]


def test_what_lived_for_moments_goes_first_and_then_the_oldest(life: Life) -> None:
    for name in (b"a", b"b", b"c"):
        life.make(name, bytes(10_000))
    grow_older(life)
    life.make(b"tmp", bytes(10_000))
    for name in (b"a", b"tmp", b"b", b"c"):
        life.volume.unlink(ROOT_INODE, name)
    assert life.volume.history.bytes == 40_000
    life.volume.history.most_bytes = 25_000
    life.volume.expire()
    assert [path for path, _, _ in versions(life)] == [b"/b", b"/c"]
    assert versions(life, brief=True) == []
    life.volume.expire(free=1)
    assert [path for path, _, _ in versions(life)] == [b"/c"]


def test_what_is_kept_is_counted_and_the_count_survives(life: Life) -> None:
    old(life, b"a", bytes(10_000))
    life.volume.unlink(ROOT_INODE, b"a")
    life.kill()
    assert (life.volume.history.versions, life.volume.history.bytes) == (1, 10_000)
    life.volume.restore(only(life), ROOT_INODE, b"a")
    assert (life.volume.history.versions, life.volume.history.bytes) == (0, 0)


async def test_the_search_for_strays_knows_history(life: Life) -> None:
    old(life, b"a", b"hello")
    life.volume.unlink(ROOT_INODE, b"a")
    life.kill()
    assert await remove_strays(life.catalog, life.content, life.catalog.next_seq) == 0
    settle(life)
    life.volume.restore(only(life), ROOT_INODE, b"a")
    assert life.read(b"a") == b"hello"


async def test_bytes_that_are_brought_back_while_strays_are_searched_for(life: Life) -> None:
    """The inodes have been gone through already, history not yet."""
    old(life, b"a", b"hello")
    life.volume.unlink(ROOT_INODE, b"a")
    life.kill()
    scan, passed = life.catalog.scan, []

    def restoring(prefix: bytes, *args, **kwargs):
        rows = scan(prefix, *args, **kwargs)
        if prefix == keys.INODE and not rows and not passed:
            passed.append(True)
            life.volume.restore(only(life), ROOT_INODE, b"a")
        return rows

    life.catalog.scan = restoring
    assert await remove_strays(life.catalog, life.content, life.catalog.next_seq) == 0
    settle(life)
    assert life.read(b"a") == b"hello"


def test_a_failed_commit_keeps_nothing_and_loses_nothing(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    old(life, b"a", b"hello")

    def full(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(life.catalog, "commit", full)
        with pytest.raises(OSError, match="disk full"):
            life.volume.unlink(ROOT_INODE, b"a")
        with pytest.raises(OSError, match="disk full"):
            overwrite(life, b"a", b"x")
    assert (life.volume.history.versions, life.volume.history.bytes) == (0, 0)
    assert life.read(b"a") == b"hello"


def test_overtaken_and_given_a_name_again(life: Life) -> None:
    """Others changed the file while a program has it open: its bytes are in history, until they get a name."""
    file = old(life, b"a", b"hello")
    number = life.volume.lookup(ROOT_INODE, b"a").number
    handle = life.volume.open(number, write=True)
    life.volume.replace_content(file, size=3, mtime_ns=0, mode=0o644, also=lambda file, generation: {})
    assert versions(life) == [(b"/a", "replaced", 5)]
    life.volume.give_name(number, ROOT_INODE, b"b")
    life.volume.flush(handle)
    life.volume.release(handle)
    assert life.volume.history.versions == 0
    settle(life)
    assert life.read(b"b") == b"hello"
