"""The daemon is killed after an entry took a file, before its Copy was recorded. Nobody else has been at work there."""

import os
from pathlib import Path
from typing import Any

import pytest

from .conftest import Maker
from .trees import files


def rewritten(mnt: Path) -> None:
    (mnt / "f").write_bytes(b"third")


def renamed(mnt: Path) -> None:
    os.rename(mnt / "f", mnt / "g")


def renamed_and_rewritten(mnt: Path) -> None:
    os.rename(mnt / "f", mnt / "g")
    (mnt / "g").write_bytes(b"third")


def replaced(mnt: Path) -> None:
    (mnt / "temp").write_bytes(b"third")
    os.rename(mnt / "temp", mnt / "f")


def removed(mnt: Path) -> None:
    os.unlink(mnt / "f")


def given_another_mode(mnt: Path) -> None:
    os.chmod(mnt / "f", 0o600)


@pytest.mark.parametrize("placed_before", [True, False], ids=["replaced", "new"])
@pytest.mark.parametrize("change", [rewritten, renamed, renamed_and_rewritten, replaced, removed, given_another_mode])
def test_then_the_file_changes(new_onitu: Maker, change: Any, placed_before: bool) -> None:
    """Still nobody's edit but ours: no conflict, nothing left over.

    The entry is away while the file changes, so that the change comes before the daemon looks at the entry again.
    """
    onitu = new_onitu(entries=("a",))
    onitu.mount()
    root = onitu.roots["a"]
    (onitu.mnt / "other").write_bytes(b"other")
    if placed_before:
        (onitu.mnt / "f").write_bytes(b"first")
    onitu.wait()
    before = files(root)
    (onitu.mnt / "f").write_bytes(b"second")
    while files(root) == before:  # what makes the change lasting comes after it, and only then it is recorded
        pass
    onitu.kill()
    os.rename(root, root.with_name("away"))
    onitu.mount()
    change(onitu.mnt)
    os.rename(root.with_name("away"), root)
    onitu.ok("entry", "resume", "a", "--mount", onitu.mnt)
    onitu.wait(timeout=20)
    assert files(root) == files(onitu.mnt)
    if change is given_another_mode:
        assert os.stat(root / "f").st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "again", [lambda moved: moved.rename(moved.with_name("g")), Path.unlink], ids=["moved", "removed"]
)
def test_a_move_is_found_as_it_was_left(new_onitu: Maker, again: Any) -> None:
    """As above, after the entry had renamed the file: what is moved once more, or removed, leaves nothing behind."""
    onitu = new_onitu(entries=("a",))
    onitu.mount()
    root = onitu.roots["a"]
    (onitu.mnt / "f").write_bytes(b"first")
    onitu.wait()
    (onitu.mnt / "f").rename(onitu.mnt / "renamed")
    while not (root / "renamed").exists():
        pass
    onitu.kill()
    root.rename(root.with_name("away"))
    onitu.mount()
    again(onitu.mnt / "renamed")
    root.with_name("away").rename(root)
    onitu.ok("entry", "resume", "a", "--mount", onitu.mnt)
    onitu.wait(timeout=20)
    assert files(root) == files(onitu.mnt)
