"""Somebody works on an entry's folder behind our back: nothing of theirs is lost, and what is ours gets its place."""

import os
import shutil
from collections.abc import Callable

import pytest

from .harness import Onitu, until
from .trees import files


def removed_file(onitu: Onitu) -> None:
    os.unlink(onitu.roots["b"] / "d" / "f")


def removed_directory(onitu: Onitu) -> None:
    shutil.rmtree(onitu.roots["b"] / "d")


def renamed(onitu: Onitu) -> None:
    os.rename(onitu.roots["b"] / "d", onitu.roots["b"] / "elsewhere")


@pytest.mark.parametrize(
    ("source", "harm"),
    [
        ("d", removed_directory),
        ("d", renamed),
        ("d/f", removed_file),
        ("d/f", removed_directory),
        ("d/f", renamed),
    ],
)
def test_a_rename_of_what_is_not_there_any_more_places_it_again(
    onitu: Onitu, source: str, harm: Callable[[Onitu], None]
) -> None:
    (onitu.mnt / "d").mkdir()
    (onitu.mnt / "d" / "f").write_text("mine")
    (onitu.mnt / "d" / "g").write_text("too")
    onitu.wait()
    harm(onitu)
    os.rename(onitu.mnt / source, onitu.mnt / "new")
    onitu.wait()
    wanted = files(onitu.mnt)
    assert files(onitu.roots["a"]) == wanted
    placed = files(onitu.roots["b"])
    moved = {name: digest for name, digest in wanted.items() if name.startswith(b"new")}
    assert {name: placed.get(name) for name in moved} == moved


@pytest.mark.parametrize("harm", [removed_file, removed_directory, renamed])
def test_a_delete_of_what_is_not_there_any_more_is_done(onitu: Onitu, harm: Callable[[Onitu], None]) -> None:
    (onitu.mnt / "d").mkdir()
    (onitu.mnt / "d" / "f").write_text("mine")
    onitu.wait()
    harm(onitu)
    shutil.rmtree(onitu.mnt / "d")
    onitu.wait()
    assert files(onitu.roots["a"]) == {}


def test_what_somebody_saved_over_ours_is_not_deleted_with_ours(onitu: Onitu) -> None:
    (onitu.mnt / "f").write_text("ours")
    onitu.wait()
    (onitu.roots["b"] / "f").write_text("theirs")
    os.unlink(onitu.mnt / "f")
    sides = [onitu.mnt, *onitu.roots.values()]
    until("theirs everywhere", lambda: all((side / "f").exists() for side in sides))
    onitu.wait()
    assert {(side / "f").read_text() for side in sides} == {"theirs"}
