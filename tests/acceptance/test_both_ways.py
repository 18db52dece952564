"""What others do in an entry's folder comes into the mount, and from there to the other entries."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Maker
from .harness import Onitu, run, until
from .trees import Facts, tree


def files(root: Path) -> dict[bytes, Facts]:
    """What is there but directories, also while it is being changed."""
    while True:
        try:
            return {path: facts for path, facts in tree(root).items() if facts[0] != "directory"}
        except FileNotFoundError:  # removed since its directory was read
            continue


QUICK_S = 20  # what is told within two seconds on a quiet machine; tests run on busy ones


def same(onitu: Onitu, *entries: str) -> Callable[[], bool]:
    """Whether the mount and these entries hold the same files."""

    def check() -> bool:
        wanted = files(onitu.mnt)
        return all(files(onitu.roots[name]) == wanted for name in entries)

    return check


def test_what_was_there_before_is_shown_and_copied_where_the_rules_want_it(new_onitu: Maker) -> None:
    onitu = new_onitu()
    (onitu.roots["a"] / "photos" / "2014").mkdir(parents=True)
    (onitu.roots["a"] / "photos" / "2014" / "one.jpg").write_bytes(b"\xff\xd8" + os.urandom(5000))
    (onitu.roots["a"] / "empty").write_bytes(b"")
    (onitu.roots["a"] / "link").symlink_to("photos/2014/one.jpg")
    (onitu.roots["a"] / "run.sh").write_text("#!/bin/sh\n")
    (onitu.roots["a"] / "run.sh").chmod(0o755)
    before = files(onitu.roots["a"])
    onitu.mount()
    until("shown", lambda: files(onitu.mnt) == before, QUICK_S)
    assert (onitu.mnt / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (onitu.mnt / "run.sh").stat().st_mtime_ns == (onitu.roots["a"] / "run.sh").stat().st_mtime_ns
    until("copied", lambda: files(onitu.roots["b"]) == before, QUICK_S)
    assert files(onitu.roots["a"]) == before


def test_entries_that_hold_the_same_are_copies_of_one_file_without_a_transfer(new_onitu: Maker) -> None:
    onitu = new_onitu()
    for root in onitu.roots.values():
        (root / "d").mkdir()
        (root / "d" / "f").write_text("the same")
    inodes = {name: (root / "d" / "f").stat().st_ino for name, root in onitu.roots.items()}
    onitu.mount()
    until("both known", lambda: len(whereis(onitu, "d/f")) == 2, QUICK_S)
    onitu.wait()
    assert {name: (root / "d" / "f").stat().st_ino for name, root in onitu.roots.items()} == inodes
    assert files(onitu.mnt) == files(onitu.roots["a"]) == files(onitu.roots["b"])
    assert len(files(onitu.mnt)) == 1


def whereis(onitu: Onitu, path: str) -> list[str]:
    done = onitu.run("whereis", onitu.mnt / path, "--json")
    return [copy["entry"] for copy in json.loads(done.stdout)["copies"]] if done.returncode == 0 else []


def test_entries_that_hold_something_else_under_one_name_are_a_conflict_and_both_live(new_onitu: Maker) -> None:
    onitu = new_onitu()
    (onitu.roots["a"] / "f.txt").write_text("said in a")
    (onitu.roots["b"] / "f.txt").write_text("in b it says something else")
    onitu.mount()
    until("both everywhere", lambda: same(onitu, "a", "b")() and len(files(onitu.mnt)) == 2, QUICK_S)
    texts = {path.read_text() for path in onitu.mnt.iterdir()}
    assert texts == {"said in a", "in b it says something else"}
    assert any("conflicted copy from" in path.name and path.suffix == ".txt" for path in onitu.mnt.iterdir())


def test_a_found_file_stays_where_it_was_found_though_no_rule_says_so(new_onitu: Maker) -> None:
    onitu = new_onitu(rules=[{"match": {"path": "/"}, "sync": ["b"]}])
    (onitu.roots["a"] / "mine").write_text("left here")
    onitu.mount()
    until("copied", same(onitu, "a", "b"), QUICK_S)
    # Edited in the mount, as editors save: it is the found one that is edited.
    (onitu.mnt / "tmp").write_text("edited")
    os.rename(onitu.mnt / "tmp", onitu.mnt / "mine")
    until("edited", lambda: (onitu.roots["a"] / "mine").read_text() == "edited", QUICK_S)
    onitu.wait()
    assert files(onitu.mnt) == files(onitu.roots["a"]) == files(onitu.roots["b"])
    os.unlink(onitu.mnt / "mine")
    onitu.wait()
    assert files(onitu.roots["a"]) == {}


def test_a_ban_takes_a_found_file_away_once_it_is_elsewhere(new_onitu: Maker) -> None:
    onitu = new_onitu(rules=[{"match": {"path": "/"}, "sync": ["b"]}, {"match": {"path": "/d/"}, "ban": ["a"]}])
    (onitu.roots["a"] / "d").mkdir()
    (onitu.roots["a"] / "d" / "f").write_text("moves house")
    onitu.mount()
    until("moved", lambda: files(onitu.roots["a"]) == {} and files(onitu.roots["b"]) == files(onitu.mnt) != {}, QUICK_S)
    assert (onitu.mnt / "d" / "f").read_text() == "moves house"


@pytest.fixture
def settled(onitu: Onitu) -> Onitu:
    """A mount with some files on both entries."""
    (onitu.mnt / "d" / "sub").mkdir(parents=True)
    (onitu.mnt / "d" / "f").write_text("first")
    (onitu.mnt / "d" / "sub" / "g").write_text("second")
    (onitu.mnt / "top").write_text("third")
    onitu.wait()
    return onitu


def new_file(root: Path) -> None:
    (root / "d" / "new").write_text("from outside")


def new_tree(root: Path) -> None:
    (root / "x" / "y" / "z").mkdir(parents=True)
    (root / "x" / "y" / "z" / "deep").write_text("from outside")
    (root / "x" / "flat").write_text("too")


def edit_in_place(root: Path) -> None:
    with open(root / "d" / "f", "a") as file:
        file.write(" and more")


def edit_by_replacing(root: Path) -> None:
    (root / "d" / "f.tmp").write_text("a whole new text")
    os.rename(root / "d" / "f.tmp", root / "d" / "f")


def rename_file(root: Path) -> None:
    os.rename(root / "d" / "f", root / "top2")


def rename_directory(root: Path) -> None:
    os.rename(root / "d", root / "e")


def move_directory_down(root: Path) -> None:
    (root / "below").mkdir()
    os.rename(root / "d" / "sub", root / "below" / "sub")


def delete_file(root: Path) -> None:
    os.unlink(root / "d" / "f")


def delete_directory(root: Path) -> None:
    shutil.rmtree(root / "d")


def change_mode(root: Path) -> None:
    (root / "d" / "f").chmod(0o755)


def file_for_directory(root: Path) -> None:
    shutil.rmtree(root / "d" / "sub")
    (root / "d" / "sub").write_text("a file now")


def new_link(root: Path) -> None:
    (root / "d" / "link").symlink_to("f")


def swap_names(root: Path) -> None:
    os.rename(root / "d" / "f", root / "d" / "aside")
    os.rename(root / "top", root / "d" / "f")
    os.rename(root / "d" / "aside", root / "top")


CHANGES = [
    new_file, new_tree, edit_in_place, edit_by_replacing, rename_file, rename_directory, move_directory_down,
    delete_file, delete_directory, change_mode, file_for_directory, new_link, swap_names,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_on_one_entry_reaches_the_mount_and_the_other(settled: Onitu, change: Callable[[Path], None]) -> None:
    change(settled.roots["b"])
    wanted = files(settled.roots["b"])
    until("in the mount", lambda: files(settled.mnt) == wanted, QUICK_S)
    until("on the other", lambda: files(settled.roots["a"]) == wanted, QUICK_S)
    settled.wait()
    assert files(settled.roots["b"]) == wanted
    if change is change_mode:
        until("mode in the mount", lambda: (settled.mnt / "d" / "f").stat().st_mode & 0o777 == 0o755, QUICK_S)
        until("mode", lambda: (settled.roots["a"] / "d" / "f").stat().st_mode & 0o777 == 0o755, QUICK_S)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_while_nothing_was_mounted_is_found_at_the_next_start(
    settled: Onitu, change: Callable[[Path], None]
) -> None:
    settled.umount()
    change(settled.roots["a"])
    wanted = files(settled.roots["a"])
    settled.mount()
    until("in the mount", lambda: files(settled.mnt) == wanted, QUICK_S)
    until("on the other", lambda: files(settled.roots["b"]) == wanted, QUICK_S)


def test_a_rename_outside_is_a_rename_everywhere(settled: Onitu) -> None:
    inode = (settled.roots["a"] / "d" / "f").stat().st_ino
    number = (settled.mnt / "d" / "f").stat().st_ino
    os.rename(settled.roots["b"] / "d", settled.roots["b"] / "e")
    until("renamed", same(settled, "a", "b"), QUICK_S)
    assert (settled.roots["a"] / "e" / "f").stat().st_ino == inode
    assert (settled.mnt / "e" / "f").stat().st_ino == number


def test_what_a_program_had_open_stays_what_it_was(settled: Onitu) -> None:
    with open(settled.mnt / "d" / "f") as file:
        (settled.roots["b"] / "d" / "f").write_text("changed by others")
        until("changed", lambda: (settled.mnt / "d" / "f").read_text() == "changed by others", QUICK_S)
        assert file.read() == "first"


def test_an_edit_on_both_sides_keeps_both(settled: Onitu) -> None:
    settled.ok("entry", "pause", "b", "--mount", settled.mnt)
    (settled.mnt / "d" / "f").write_text("edited in the mount")
    (settled.roots["b"] / "d" / "f").write_text("edited on b")
    settled.ok("entry", "resume", "b", "--mount", settled.mnt)
    until("both everywhere", lambda: same(settled, "a", "b")() and len(files(settled.mnt)) == 4, QUICK_S)
    texts = {path.read_text() for path in (settled.mnt / "d").iterdir() if path.is_file()}
    assert texts == {"edited in the mount", "edited on b"}
    assert (settled.mnt / "d" / "f").exists()


def test_the_same_edit_on_both_sides_is_no_conflict(settled: Onitu) -> None:
    settled.ok("entry", "pause", "b", "--mount", settled.mnt)
    (settled.mnt / "d" / "f").write_text("the same words")
    (settled.roots["b"] / "d" / "f").write_text("the same words")
    settled.ok("entry", "resume", "b", "--mount", settled.mnt)
    settled.wait()
    until("settled", same(settled, "a", "b"), QUICK_S)
    assert len(files(settled.mnt)) == 3


def test_an_edit_outlives_a_delete(settled: Onitu) -> None:
    settled.ok("entry", "pause", "b", "--mount", settled.mnt)
    os.unlink(settled.mnt / "d" / "f")
    (settled.roots["b"] / "d" / "f").write_text("edited meanwhile")
    (settled.mnt / "top").write_text("edited in the mount")
    os.unlink(settled.roots["b"] / "top")
    settled.ok("entry", "resume", "b", "--mount", settled.mnt)
    until(
        "both edits live",
        lambda: (settled.mnt / "d" / "f").exists() and same(settled, "a", "b")() and len(files(settled.mnt)) == 3,
        QUICK_S,
    )
    assert (settled.mnt / "d" / "f").read_text() == "edited meanwhile"
    assert (settled.mnt / "top").read_text() == "edited in the mount"


def test_what_a_program_saves_into_a_file_that_was_changed_outside_is_kept_beside_it(settled: Onitu) -> None:
    with open(settled.mnt / "d" / "f", "r+") as file:
        (settled.roots["b"] / "d" / "f").write_text("changed by others")
        until("changed", lambda: (settled.mnt / "d" / "f").read_text() == "changed by others", QUICK_S)
        file.write("written by a program")
    until("both everywhere", lambda: same(settled, "a", "b")() and len(files(settled.mnt)) == 4, QUICK_S)
    texts = {path.read_text() for path in (settled.mnt / "d").iterdir() if path.is_file()}
    assert texts == {"written by a program", "changed by others"}


def many(onitu: Onitu, number: int = 40) -> None:
    for n in range(number):
        (onitu.mnt / f"f{n}").write_text(f"file {n}")
    onitu.wait()


def health(onitu: Onitu, entry: str) -> str:
    return next(str(known["health"]) for known in onitu.status()["entries"] if known["name"] == entry)


def seen(onitu: Onitu, entry: str) -> dict[str, Any]:
    known: dict[str, Any] = next(known["seen"] for known in onitu.status()["entries"] if known["name"] == entry)
    return known


def wipe(root: Path) -> None:
    for path in root.iterdir():
        if path.is_file():
            os.unlink(path)


def test_if_much_is_gone_at_once_the_user_is_asked_and_nothing_is_deleted(onitu: Onitu) -> None:
    many(onitu)
    wipe(onitu.roots["b"])
    until("asked", lambda: health(onitu, "b") == "suspended", QUICK_S)
    entry = next(known for known in onitu.status()["entries"] if known["name"] == "b")
    assert "--accept-deletions" in entry["remedy"]
    assert len(files(onitu.mnt)) == len(files(onitu.roots["a"])) == 40
    assert onitu.run("status", onitu.mnt).returncode == 7
    assert onitu.run("entry", "resume", "b", "--mount", onitu.mnt).returncode == 7
    onitu.umount("--now")
    onitu.mount()
    until("asked again", lambda: health(onitu, "b") == "suspended", QUICK_S)
    assert len(files(onitu.mnt)) == 40


def test_what_is_gone_is_placed_again_if_the_user_says_so(onitu: Onitu) -> None:
    many(onitu)
    before = files(onitu.mnt)
    wipe(onitu.roots["b"])
    until("asked", lambda: health(onitu, "b") == "suspended", QUICK_S)
    onitu.ok("entry", "resume", "b", "--restore", "--mount", onitu.mnt)
    until("restored", lambda: files(onitu.roots["b"]) == before, QUICK_S)
    assert files(onitu.mnt) == files(onitu.roots["a"]) == before


def test_what_is_gone_is_deleted_here_too_if_the_user_says_so(onitu: Onitu) -> None:
    many(onitu)
    wipe(onitu.roots["b"])
    until("asked", lambda: health(onitu, "b") == "suspended", QUICK_S)
    onitu.ok("entry", "resume", "b", "--accept-deletions", "--mount", onitu.mnt)
    until("deleted", lambda: files(onitu.mnt) == files(onitu.roots["a"]) == {}, QUICK_S)


def test_an_answer_holds_for_what_was_asked_only(onitu: Onitu) -> None:
    (onitu.roots["b"] / "disk").mkdir()
    run("mount", "-t", "tmpfs", "none", onitu.roots["b"] / "disk")  # can never be listed as a part of the entry
    try:
        many(onitu)
        for n in range(15):
            (onitu.roots["b"] / f"f{n}").unlink()
        until("asked", lambda: health(onitu, "b") == "suspended", QUICK_S)
        onitu.ok("entry", "resume", "b", "--accept-deletions", "--mount", onitu.mnt)
        until("deleted", lambda: len(files(onitu.roots["a"])) == 25, QUICK_S)
        until("all is listed", lambda: seen(onitu, "b")["complete"], QUICK_S)
        (onitu.roots["b"] / "f20").unlink()  # one more is not asked about
        until("deleted, too", lambda: len(files(onitu.roots["a"])) == 24, QUICK_S)
        wipe(onitu.roots["b"])
        until("asked again", lambda: health(onitu, "b") == "suspended", QUICK_S)
        assert len(files(onitu.roots["a"])) == 24
    finally:
        run("umount", onitu.roots["b"] / "disk")


def test_an_answer_to_no_question_is_refused(onitu: Onitu) -> None:
    for answer in ("--accept-deletions", "--restore"):
        done = onitu.run("entry", "resume", "b", answer, "--mount", onitu.mnt)
        assert done.returncode == 7
        assert "nothing is asked about it" in done.stderr


def test_a_directory_that_takes_anothers_name_deletes_nothing(settled: Onitu) -> None:
    """As restoring a backup does: all objects are other ones, and the files are the same."""
    settled.umount()
    settled.mount()  # by now what stands on the entries is known by its ids, too
    until("all is listed", lambda: seen(settled, "b")["complete"], QUICK_S)
    number = (settled.mnt / "d" / "f").stat().st_ino
    shutil.copytree(settled.roots["b"] / "d", settled.roots["b"] / "restored")
    os.rename(settled.roots["b"] / "d", settled.base / "away")
    os.rename(settled.roots["b"] / "restored", settled.roots["b"] / "d")
    (settled.roots["b"] / "top").unlink()  # what is gone is dealt with together
    until("what is gone is deleted", lambda: not (settled.roots["a"] / "top").exists(), QUICK_S)
    until("the rest is there", same(settled, "a", "b"), QUICK_S)
    settled.wait()
    assert (settled.mnt / "d" / "f").stat().st_ino == number
    deleted = [line for line in settled.log().splitlines() if "deleted, as it was on an entry" in line]
    assert not [line for line in deleted if '"path": "/d' in line]


def test_an_unmounted_folder_deletes_nothing(onitu: Onitu) -> None:
    many(onitu, 5)
    os.rename(onitu.roots["b"], onitu.base / "away")
    onitu.roots["b"].mkdir()
    (onitu.roots["b"] / "stranger").write_text("on the disk below the mount point")
    until("noticed", lambda: health(onitu, "b") != "up", QUICK_S)
    assert len(files(onitu.mnt)) == len(files(onitu.roots["a"])) == 5
    shutil.rmtree(onitu.roots["b"])
    os.rename(onitu.base / "away", onitu.roots["b"])
    onitu.ok("entry", "resume", "b", "--mount", onitu.mnt)
    until("up", lambda: health(onitu, "b") == "up", QUICK_S)
    assert len(files(onitu.mnt)) == len(files(onitu.roots["b"])) == 5


def modes(onitu: Onitu, path: str) -> set[int]:
    return {(root / path).stat().st_mode & 0o777 for root in (onitu.mnt, *onitu.roots.values())}


def test_a_directorys_mode_comes_and_goes(settled: Onitu) -> None:
    until("placed alike", lambda: modes(settled, "d") == {0o755}, QUICK_S)

    def given_on_an_entry() -> bool:  # again and again: what is done right after we made it may be taken for ours
        (settled.roots["a"] / "d").chmod(0o750)
        return modes(settled, "d") == {0o750}

    until("a mode given on an entry is everywhere", given_on_an_entry, QUICK_S)
    (settled.mnt / "d").chmod(0o705)
    until("a mode given in the mount is everywhere", lambda: modes(settled, "d") == {0o705}, QUICK_S)


def test_directories_that_were_there_before_keep_their_modes(new_onitu: Maker) -> None:
    onitu = new_onitu()
    for root, mode in zip(onitu.roots.values(), (0o755, 0o700), strict=True):
        (root / "d").mkdir(mode=mode)
        (root / "d" / "f").write_text("the same")
    onitu.mount()
    onitu.wait()
    assert [(root / "d").stat().st_mode & 0o777 for root in onitu.roots.values()] == [0o755, 0o700]
    (onitu.roots["b"] / "d").chmod(0o711)
    until(
        "a mode given on an entry is in the mount", lambda: (onitu.mnt / "d").stat().st_mode & 0o777 == 0o711, QUICK_S
    )


def replaced(onitu: Onitu, fill: Callable[[Path], None] = lambda root: None) -> None:
    """Another directory stands where the entry b was."""
    os.rename(onitu.roots["b"], onitu.base / "lost")
    onitu.roots["b"].mkdir()
    fill(onitu.roots["b"])
    until("asked", lambda: health(onitu, "b") == "suspended", QUICK_S)
    entry = next(known for known in onitu.status()["entries"] if known["name"] == "b")
    assert "onitufs entry resume b --restore" in entry["remedy"]


def test_a_disk_that_is_lost_for_good_is_filled_again(onitu: Onitu) -> None:
    many(onitu)
    before = files(onitu.mnt)

    def old_backup(root: Path) -> None:
        (root / "f1").write_text("as it was long ago")
        shutil.copy2(onitu.mnt / "f2", root / "f2")
        (root / "stranger").write_text("was never here")

    replaced(onitu, old_backup)
    assert files(onitu.mnt) == before
    assert onitu.run("entry", "resume", "b", "--mount", onitu.mnt).returncode == 0
    until("still asked", lambda: health(onitu, "b") == "suspended", QUICK_S)
    onitu.ok("entry", "resume", "b", "--restore", "--mount", onitu.mnt)
    until("up", lambda: health(onitu, "b") == "up", QUICK_S)
    until("filled again", lambda: before.items() <= files(onitu.roots["b"]).items(), QUICK_S)
    until("all agree", same(onitu, "a", "b"), QUICK_S)
    after = files(onitu.mnt)
    beside = [path for path in after.keys() - before.keys() if path != b"stranger"]
    assert len(beside) == 1
    assert beside[0].startswith(b"f1 (conflicted copy from b ")
    assert {path: after[path] for path in before} == before
    onitu.umount()
    onitu.mount()
    until("up", lambda: health(onitu, "b") == "up", QUICK_S)
    assert files(onitu.mnt) == after


def test_a_disk_that_only_lost_its_mark_is_the_entry_again(onitu: Onitu) -> None:
    many(onitu)
    before = files(onitu.roots["b"])
    onitu.umount()
    shutil.rmtree(onitu.roots["b"] / ".onitufs")
    onitu.mount()
    until("asked", lambda: health(onitu, "b") == "suspended", QUICK_S)
    inodes = {path.name: path.stat().st_ino for path in onitu.roots["b"].iterdir() if path.is_file()}
    onitu.ok("entry", "resume", "b", "--restore", "--mount", onitu.mnt)
    until("up", lambda: health(onitu, "b") == "up", QUICK_S)
    until("all is listed", lambda: seen(onitu, "b")["complete"], QUICK_S)
    onitu.wait()
    assert files(onitu.mnt) == files(onitu.roots["b"]) == before
    assert {path.name: path.stat().st_ino for path in onitu.roots["b"].iterdir() if path.is_file()} == inodes


def test_an_empty_disk_can_be_what_the_entry_is_from_now_on(onitu: Onitu) -> None:
    many(onitu)
    replaced(onitu)
    onitu.ok("entry", "resume", "b", "--accept-deletions", "--mount", onitu.mnt)
    until("deleted", lambda: files(onitu.mnt) == files(onitu.roots["a"]) == {}, QUICK_S)


def test_what_is_new_below_a_deleted_directory_of_a_read_only_entry_is_shown(new_onitu: Maker) -> None:
    onitu = new_onitu(rules=[{"match": {"path": "/"}, "sync": ["a"]}])
    setup = json.loads(onitu.setup.read_text())
    setup["entries"]["b"]["mode"] = "r"
    onitu.setup.write_text(json.dumps(setup))
    (onitu.roots["b"] / "d" / "sub").mkdir(parents=True)
    (onitu.roots["b"] / "d" / "sub" / "old").write_text("not wanted any more")
    onitu.mount()
    until("shown", lambda: (onitu.mnt / "d" / "sub" / "old").exists(), QUICK_S)
    onitu.wait()
    shutil.rmtree(onitu.mnt / "d")
    onitu.wait()
    (onitu.roots["b"] / "d" / "sub" / "new").write_text("from outside")
    until("shown", lambda: set(files(onitu.mnt)) == {b"d/sub/new"}, QUICK_S)
    until("copied", lambda: set(files(onitu.roots["a"])) == {b"d/sub/new"}, QUICK_S)
    assert (onitu.roots["b"] / "d" / "sub" / "old").exists()
    onitu.umount()
    onitu.mount()
    until("all is listed", lambda: seen(onitu, "b")["complete"], QUICK_S)
    assert set(files(onitu.mnt)) == {b"d/sub/new"}
