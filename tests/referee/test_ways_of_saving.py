"""What the habits of programs cost on the entries: one update of one object, and no transfer for a mere rename."""

import pytest

from onitufs.model.copies import Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE
from onitufs.model.orders import Delete, Move, Order, Put

from . import programs
from .test_it_converges import holds_what_the_rules_say
from .world import World


def a_world(*names: bytes, seed: int = 1) -> World:
    """Files of these names in the root, placed on A and B, long at rest."""
    world = World(["A", "B", "C"], programs.rulebook(0), seed, trouble=0.0, haste=0.0)
    for name in names:
        programs.save(world, 0, name)
    settle(world)
    return world


def settle(world: World) -> list[Order]:
    """Let everything happen that is going to happen; the orders that were carried out on A meanwhile."""
    world.done.clear()
    world.finish()
    holds_what_the_rules_say(world)
    done = [order for order in world.done if order.entry == "A"]
    programs.rest(world)
    return done


def rename(world: World, old: bytes, new: bytes) -> None:
    node = world.mount.at(Place(ROOT_FILE, old))
    assert node is not None
    place = Place(ROOT_FILE, new)
    there = world.mount.at(place)
    if there is not None:
        world.mount.remove(there)
        world.touch(there)
    world.mount.rename(node, place)
    world.renamed(node, b"/" + old)


@pytest.mark.parametrize("seed", range(10))
def test_write_aside_and_rename_is_one_update(seed: int) -> None:
    world = a_world(b"x", seed=seed)
    programs.save_aside(world, 0, b"x", True)
    (order,) = settle(world)
    assert isinstance(order, Put)
    assert order.replaces is not None


@pytest.mark.parametrize("seed", range(10))
def test_back_up_and_write_new_is_one_update(seed: int) -> None:
    world = a_world(b"x", seed=seed)
    programs.back_up_and_save(world, 0, b"x")
    (order,) = settle(world)
    assert isinstance(order, Put)
    assert order.replaces is not None


@pytest.mark.parametrize("seed", range(10))
def test_delete_and_create_is_one_update(seed: int) -> None:
    world = a_world(b"x", seed=seed)
    node = world.mount.at(Place(ROOT_FILE, b"x"))
    assert node is not None
    world.mount.remove(node)
    world.touch(node)
    programs.save(world, 0, b"x")
    (order,) = settle(world)
    assert isinstance(order, Put)
    assert order.replaces is not None


@pytest.mark.parametrize("seed", range(10))
def test_a_rotation_of_logs_transfers_only_the_new_one(seed: int) -> None:
    world = a_world(b"log", b"log.1", b"log.2", seed=seed)
    for old, new in ((b"log.1", b"log.2"), (b"log", b"log.1")):
        rename(world, old, new)
    world.work(1000)
    orders = settle(world)
    assert not [order for order in orders if isinstance(order, Put)]
    assert len([order for order in orders if isinstance(order, Move)]) <= 4


@pytest.mark.parametrize("seed", range(10))
def test_swapped_names_need_no_transfer(seed: int) -> None:
    world = a_world(b"x", b"y", seed=seed)
    programs.exchange(world, 0, 1)
    assert {type(order) for order in settle(world)} == {Move}


@pytest.mark.parametrize("seed", range(10))
def test_a_directory_made_anew_takes_over_what_is_there(seed: int) -> None:
    """rm -rf, then the same again, as git checkout and tar do: updates, no deletions."""
    world = a_world(seed=seed)
    for _ in range(2):
        programs.mkdir(world, 0, b"x")
        for name in (b"x", b"y"):
            programs.save(world, 1, name)
        orders = settle(world)
        if _ == 0:
            for node in [*world.mount.below(ROOT_FILE)][::-1]:
                world.mount.remove(node)
                world.touch(node)
    assert not [order for order in orders if isinstance(order, Delete)]
    assert sum(isinstance(order, Put) and order.replaces is not None for order in orders) == 3


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.DIRECTORY])
@pytest.mark.parametrize("seed", range(10))
def test_what_becomes_a_directory_of_itself_finds_its_way(seed: int, kind: Kind) -> None:
    """mv x t; mkdir x; mv t x/x: the directory that x is to be in wants the place where x stands."""
    world = a_world(seed=seed)
    if kind is Kind.FILE:
        programs.save(world, 0, b"x")
    else:
        programs.mkdir(world, 0, b"x")
    settle(world)
    rename(world, b"x", b"t")
    inner = world.mount.at(Place(ROOT_FILE, b"t"))
    outer = world.mount.make(Place(ROOT_FILE, b"x"), Kind.DIRECTORY)
    assert inner is not None
    world.touch(outer)
    world.mount.rename(inner, Place(outer.file, b"x"))
    world.renamed(inner, b"/t")
    settle(world)


def test_the_same_saved_again_and_again_is_put_once_it_is_looked_at() -> None:
    world = a_world(b"x")
    for _ in range(20):
        programs.save(world, 0, b"x")
    assert len(settle(world)) == 1
