"""Whether the bytes that are being sent are still wanted: asked while a large file is on its way."""

from dataclasses import replace
from pathlib import Path

import pytest

from onitufs.daemon.facts import Facts
from onitufs.daemon.memory import Memory
from onitufs.model.copies import Copy, Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, ROOT_INODE, EntryName, GenerationId
from onitufs.model.orders import Interest, Put
from onitufs.model.rules import Match, Rule
from onitufs.referee.rules import Rulebook
from onitufs.volume.placements import Placements

from ..volume.conftest import Life

NAS = EntryName("nas")


class World:
    """One file for which a Put to `nas` runs."""

    def __init__(self, directory: Path) -> None:
        self.life = Life(directory)
        self.volume = self.life.volume
        self.facts = Facts(self.volume, Placements(self.life.catalog), rules("/"), {}, Memory())
        file = self.life.make(b"film.iso", b"one")
        found = self.volume.lookup(ROOT_INODE, b"film.iso")
        assert found is not None
        self.order = Put(
            entry=NAS, file=file, kind=Kind.FILE, place=Place(ROOT_FILE, b"film.iso"), generation=found.generation,
            size=3, mtime_ns=found.mtime_ns, mode=0o644,
        )  # fmt: skip
        self.copy = Copy(
            file=file, entry=NAS, kind=Kind.FILE, place=self.order.place, generation=found.generation, size=3,
            mtime_ns=0, mode=0o644, rev="1",
        )  # fmt: skip


def rules(path: str) -> Rulebook:
    return Rulebook((Rule(match=Match(paths=(path,)), sync=(NAS,), source="rules[0]"),), [NAS], ())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "state")


def test_nothing_has_changed(world: World) -> None:
    assert world.facts.interest(world.order) is Interest.WANTED


def test_renamed(world: World) -> None:
    world.volume.rename(ROOT_INODE, b"film.iso", ROOT_INODE, b"other.iso")
    assert world.facts.interest(world.order) is Interest.WANTED


def test_saved_anew(world: World) -> None:
    newer = replace(world.order, generation=GenerationId(world.order.generation + 1))
    assert world.facts.interest(newer) is Interest.OVERTAKEN  # the one that is there is another one


def test_deleted(world: World) -> None:
    world.volume.unlink(ROOT_INODE, b"film.iso")
    assert world.facts.interest(world.order) is Interest.NONE


def test_the_rules_place_it_elsewhere(world: World) -> None:
    world.facts.rulebook = rules("/elsewhere/")
    assert world.facts.interest(world.order) is Interest.NONE


def test_what_was_found_there_is_wanted_there_whatever_the_rules_say(world: World) -> None:
    world.facts.rulebook = rules("/elsewhere/")
    for order in (replace(world.order, had=world.copy), replace(world.order, replaces=world.copy)):
        assert world.facts.interest(order) is Interest.WANTED
