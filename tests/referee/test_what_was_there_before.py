"""Directories that were on an entry before us, and what is in them, are never removed."""

import pytest

from onitufs.model.copies import Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, EntryName

from . import programs
from .remote import Thing
from .world import World

A = EntryName("A")


@pytest.fixture(params=range(10))
def world(request: pytest.FixtureRequest) -> World:
    """An entry that holds /x/theirs."""
    world = World(["A", "B", "C"], programs.rulebook(0), request.param)
    theirs = Thing(Kind.FILE, 1000, b"theirs")
    world.remotes[A].root.inside[b"x"] = Thing(Kind.DIRECTORY, 0, inside={b"theirs": theirs})
    programs.mkdir(world, 0, b"x")
    programs.save(world, 1, b"y")
    world.finish()
    return world


def remove_all(world: World) -> None:
    for node in reversed(world.mount.living()):
        world.mount.remove(node)
        world.touch(node)


def test_a_directory_found_is_used_and_left(world: World) -> None:
    assert set(world.remotes[A].listing()) == {b"/x", b"/x/theirs", b"/x/y"}
    remove_all(world)
    world.finish()
    assert set(world.remotes[A].listing()) == {b"/x", b"/x/theirs"}
    assert world.remotes[EntryName("B")].listing() == {}
    assert not world.copies.by_file


def test_a_directory_made_anew_is_still_not_ours(world: World) -> None:
    remove_all(world)
    programs.mkdir(world, 0, b"x")
    programs.save(world, 1, b"z.pdf")
    world.finish()
    assert set(world.remotes[A].listing()) == {b"/x", b"/x/theirs", b"/x/z.pdf"}
    remove_all(world)
    world.finish()
    assert set(world.remotes[A].listing()) == {b"/x", b"/x/theirs"}


def test_a_directory_of_ours_with_something_of_theirs_stays(world: World) -> None:
    programs.mkdir(world, 0, b"z.pdf")
    world.finish()
    ours = world.remotes[A].find((b"z.pdf",))
    assert ours is not None
    ours.inside[b"theirs"] = Thing(Kind.FILE, 1001, b"theirs")
    remove_all(world)
    world.finish()
    assert set(world.remotes[A].listing()) == {b"/x", b"/x/theirs", b"/z.pdf", b"/z.pdf/theirs"}


def test_it_moves_with_a_rename(world: World) -> None:
    node = world.mount.at(Place(ROOT_FILE, b"x"))
    assert node is not None
    world.mount.rename(node, Place(ROOT_FILE, b"renamed"))
    world.renamed(node, b"/x")
    world.finish()
    assert set(world.remotes[A].listing()) == {b"/renamed", b"/renamed/theirs", b"/renamed/y"}
