"""Conflicts as a user ends them: what `conflicts list` shows, and which file is there afterwards, everywhere."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.daemon.conflicts import Conflicts
from onitufs.model.ids import EntryName
from onitufs.volume import Volume
from onitufs.volume.space import Space
from onitufs.volume.tree import Changes

from .conftest import Maker
from .harness import Onitu, until

NAME, KEPT = "report.txt", "report (conflicted copy from b 2026-03-01).txt"
MINE, THEIRS = "what was saved here", "what was saved there, longer"


def note(onitu: Onitu, kept: str, original: str | None) -> None:
    """Write into the state of a mount that is not served that one file is kept beside another."""
    content = ContentStore(onitu.state / "content")
    catalog = Catalog.open(onitu.state / "catalog", content)
    try:
        volume = Volume(catalog, content, Space(onitu.state), owner=(0, 0))
        changes: Changes = {}
        file = volume.resolve(b"/" + kept.encode())[0]
        other = None if original is None else volume.resolve(b"/" + original.encode())[0]
        Conflicts(volume).note(changes, file, EntryName("b"), other)
        catalog.commit(changes)
    finally:
        catalog.close()


@pytest.fixture
def conflicted(new_onitu: Maker) -> Onitu:
    """A mount with two versions of a report beside each other, both placed on a and b."""
    onitu = new_onitu()
    onitu.mount()
    (onitu.mnt / NAME).write_text(MINE)
    (onitu.mnt / KEPT).write_text(THEIRS)
    onitu.umount()
    note(onitu, KEPT, NAME)
    onitu.mount()
    return onitu


def listed(onitu: Onitu) -> list[dict[str, Any]]:
    return [json.loads(line) for line in onitu.ok("conflicts", "list", "--json", "-m", onitu.mnt).splitlines()]


def everywhere(onitu: Onitu) -> list[dict[str, str]]:
    """Names and texts in the mount and on each entry."""
    onitu.wait()
    places = [onitu.mnt, *onitu.roots.values()]
    return [{name: (place / name).read_text() for name in os.listdir(place) if name != ".onitufs"} for place in places]


def in_trash(root: Path) -> list[str]:
    return [path.read_text() for path in (root / ".onitufs/trash").rglob("*") if path.is_file()]


def test_list_shows_both_files(conflicted: Onitu) -> None:
    (one,) = listed(conflicted)
    assert one["v"] == 1
    assert (one["kept"]["path"], one["original"]["path"], one["entry"]) == (f"/{KEPT}", f"/{NAME}", "b")
    assert (one["kept"]["size"], one["original"]["size"]) == (len(THEIRS), len(MINE))
    assert one["kept"]["entries"] == one["original"]["entries"] == ["a", "b"]
    assert one["kept"]["here"] is True
    assert conflicted.status()["conflicts"] == 1
    assert "\n1 conflict: `onitufs conflicts list`\n" in conflicted.run("status", conflicted.mnt).stdout
    said = conflicted.ok("conflicts", "list", "-m", conflicted.mnt)
    assert said.startswith("1 conflict\n")
    assert KEPT in said
    assert "on here, a, b" in said


@pytest.mark.parametrize(
    ("path", "keep", "text"),
    [(KEPT, "this", THEIRS), (KEPT, "other", MINE), (NAME, "this", MINE), (NAME, "other", THEIRS)],
)
def test_who_is_kept_alone_has_the_name_everywhere(conflicted: Onitu, path: str, keep: str, text: str) -> None:
    assert (conflicted.mnt / KEPT).exists()  # the kernel knows both names now
    assert (conflicted.mnt / NAME).exists()
    conflicted.ok("conflicts", "resolve", conflicted.mnt / path, "--keep", keep)
    until("the kernel forgets the other name", lambda: not (conflicted.mnt / KEPT).exists(), 5)
    assert os.listdir(conflicted.mnt) == [NAME]
    assert (conflicted.mnt / NAME).read_text() == text
    assert everywhere(conflicted) == [{NAME: text}] * 3
    assert listed(conflicted) == []
    for root in conflicted.roots.values():
        assert in_trash(root) == [MINE if text == THEIRS else THEIRS]


def test_both_stay_and_are_no_conflict_any_more(conflicted: Onitu) -> None:
    said = conflicted.ok("conflicts", "resolve", conflicted.mnt / NAME, "--keep", "both")
    assert "both stay" in said
    assert listed(conflicted) == []
    assert everywhere(conflicted) == [{NAME: MINE, KEPT: THEIRS}] * 3
    again = conflicted.run("conflicts", "resolve", conflicted.mnt / NAME, "--keep", "both")
    assert (again.returncode, again.stdout) == (3, "")
    assert "no open conflict" in again.stderr


def test_nobody_chooses_while_a_program_writes(conflicted: Onitu) -> None:
    with open(conflicted.mnt / KEPT, "a") as file:
        done = conflicted.run("conflicts", "resolve", conflicted.mnt / NAME, "--keep", "this")
        file.write(", and more")
    assert done.returncode == 7
    assert "open for writing" in done.stderr
    assert len(listed(conflicted)) == 1
    assert everywhere(conflicted) == [{NAME: MINE, KEPT: THEIRS + ", and more"}] * 3


def test_one_of_several_has_to_be_named(conflicted: Onitu) -> None:
    second = KEPT.replace("01)", "01 2)")
    (conflicted.mnt / second).write_text("a third version")
    conflicted.umount()
    note(conflicted, second, NAME)
    conflicted.mount()
    assert len(listed(conflicted)) == 2
    done = conflicted.run("conflicts", "resolve", conflicted.mnt / NAME, "--keep", "other")
    assert done.returncode == 7
    assert "name the one to keep" in done.stderr
    conflicted.ok("conflicts", "resolve", conflicted.mnt / second, "--keep", "this")
    (left,) = listed(conflicted)
    assert (left["kept"]["path"], left["original"]["path"]) == (f"/{KEPT}", f"/{NAME}")
    conflicted.ok("conflicts", "resolve", conflicted.mnt / NAME, "--keep", "this")
    assert everywhere(conflicted) == [{NAME: "a third version"}] * 3


def test_the_other_side_may_be_gone(conflicted: Onitu) -> None:
    (conflicted.mnt / NAME).unlink()
    (one,) = listed(conflicted)
    assert one["original"] is None
    assert "the other file is gone" in conflicted.ok("conflicts", "list", "-m", conflicted.mnt)
    done = conflicted.run("conflicts", "resolve", conflicted.mnt / KEPT, "--keep", "other")
    assert done.returncode == 7
    conflicted.ok("conflicts", "resolve", conflicted.mnt / KEPT, "--keep", "this")
    assert everywhere(conflicted) == [{NAME: THEIRS}] * 3


def test_an_open_file_goes_on_with_what_it_was(conflicted: Onitu) -> None:
    with open(conflicted.mnt / NAME) as file:
        conflicted.ok("conflicts", "resolve", conflicted.mnt / KEPT, "--keep", "this")
        assert file.read() == MINE
        assert (conflicted.mnt / NAME).read_text() == THEIRS
