"""Which conflicts are open: what was noted, until somebody chose, by whatever means."""

import itertools
from pathlib import Path

import pytest

from onitufs.daemon.conflicts import Conflicts
from onitufs.model.ids import ROOT_INODE, EntryName, FileId
from onitufs.volume.tree import Changes

from ..volume.conftest import Life

KEPT = b"a (conflicted copy from nas 2001-09-09).txt"
NAS = EntryName("nas")


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path / "state")


def note(life: Life, file: FileId, original: FileId | None) -> None:
    changes: Changes = {}
    Conflicts(life.volume).note(changes, file, NAS, original)
    life.catalog.commit(changes)


def found(life: Life) -> list[tuple[FileId, FileId | None, str]]:
    return [(one.file, one.original, one.entry) for one in Conflicts(life.volume).all()]


def test_it_is_there_until_it_is_cleared_also_after_a_crash(life: Life) -> None:
    original, kept = life.make(b"a.txt", b"mine"), life.make(KEPT, b"theirs")
    assert found(life) == []
    note(life, kept, original)
    life.kill()
    assert found(life) == [(kept, original, "nas")]
    changes: Changes = {}
    Conflicts(life.volume).clear(changes, kept)
    life.catalog.commit(changes)
    assert found(life) == []


@pytest.mark.parametrize("what", ["deleted", "renamed"])
def test_it_ends_with_its_name(life: Life, what: str) -> None:
    original, kept = life.make(b"a.txt", b"mine"), life.make(KEPT, b"theirs")
    note(life, kept, original)
    if what == "deleted":
        life.volume.unlink(ROOT_INODE, KEPT)
    else:
        life.volume.rename(ROOT_INODE, KEPT, ROOT_INODE, b"theirs.txt")
    assert found(life) == []
    if what == "renamed":  # somebody chose: another rename does not bring it back
        life.volume.rename(ROOT_INODE, b"theirs.txt", ROOT_INODE, KEPT)
        assert found(life) == []


def test_it_stays_when_it_is_moved_together_with_its_name(life: Life) -> None:
    original, kept = life.make(b"a.txt", b"mine"), life.make(KEPT, b"theirs")
    note(life, kept, original)
    folder = life.volume.make_directory(ROOT_INODE, b"folder", 0o755, 0, 0)
    life.volume.rename(ROOT_INODE, KEPT, folder.number, KEPT)
    assert found(life) == [(kept, original, "nas")]


def test_the_other_side_is_who_has_the_name_when_the_first_one_is_gone(life: Life) -> None:
    original, kept = life.make(b"a.txt", b"mine"), life.make(KEPT, b"theirs")
    note(life, kept, original)
    life.volume.unlink(ROOT_INODE, b"a.txt")
    assert found(life) == [(kept, None, "nas")]
    saved_again = life.make(b"a.txt", b"mine, saved by a program that deletes and creates")
    assert found(life) == [(kept, saved_again, "nas")]


def test_the_oldest_comes_first(life: Life) -> None:
    files = [life.make(b"%d (conflicted copy from nas 2001-09-09)" % number) for number in range(3)]
    moments = itertools.count(1_000)
    life.volume.now_ns = lambda: next(moments)
    for file in (files[2], files[0], files[1]):
        note(life, file, None)
    assert [one[0] for one in found(life)] == [files[2], files[0], files[1]]
