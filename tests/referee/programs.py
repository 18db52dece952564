"""What programs, people and mishaps may do to a World, as plain values that Hypothesis draws and shrinks."""

from collections.abc import Sequence

from hypothesis import strategies as st

from onitufs.model.copies import Place
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName, FileId
from onitufs.model.rules import Match, Rule
from onitufs.referee.rules import Rulebook

from .mount import Node
from .world import World

A, B, C = EntryName("A"), EntryName("B"), EntryName("C")
NAMES = [b"x", b"y", b"z.pdf", b"w~"]
NEVER = ("*~", "y/x/")

Step = tuple[object, ...]


def _rule(number: int, match: Match, *sync: EntryName, **more: object) -> Rule:
    return Rule(match=match, sync=sync, source=f"rules[{number}]", **more)  # type: ignore[arg-type]


RULES: list[list[Rule]] = [
    [_rule(0, Match(paths=("/",)), A, B)],
    [_rule(0, Match(paths=("/",)), A), _rule(1, Match(paths=("/x/",), media_types=("application/pdf",)), B)],
    [_rule(0, Match(media_types=("application/pdf",)), A, B, C), _rule(1, Match(paths=("/x",)), ban=(A,))],
    [_rule(0, Match(paths=("/",)), A, B, C, copies=2)],
    [_rule(0, Match(globs=("x/", "/y/z.pdf")), C, A), _rule(1, Match(paths=("/y/",)), local=True)],
    [],
]


def rulebook(number: int) -> Rulebook:
    return Rulebook(RULES[number], [A, B, C], NEVER)


_any = st.sampled_from(range(12))  # evenly, unlike integers()
_name = st.sampled_from(NAMES)
_steps = st.one_of(
    st.tuples(st.just("save"), _any, _name, st.booleans()),
    st.tuples(st.just("save aside"), _any, _name, st.booleans()),
    st.tuples(st.just("back up and save"), _any, _name),
    st.tuples(st.just("mkdir"), _any, _name),
    st.tuples(st.just("link"), _any, _name, st.sampled_from([b"x", b"../y", b"../../..", b"/etc"])),
    st.tuples(st.just("rename"), _any, _any, _name),
    st.tuples(st.just("rename"), _any, _any, _name),
    st.tuples(st.just("exchange"), _any, _any),
    st.tuples(st.just("remove"), _any),
    st.tuples(st.just("remove all"), _any),
    st.tuples(st.just("work"), st.sampled_from([1, 3, 10, 30, 100])),
    st.tuples(st.just("rest")),
    st.tuples(st.just("rules"), st.integers(0, len(RULES) - 1)),
    st.tuples(st.just("restart")),
)
scripts = st.lists(_steps, max_size=40)
busy_scripts = st.lists(_steps, min_size=25, max_size=50)
"""Nothing to shrink, but more happens in each."""


def run(world: World, script: Sequence[Step]) -> None:
    for what, *details in script:
        _DO[str(what)](world, *details)


def _directory(world: World, number: int) -> FileId:
    directories = world.mount.directories()
    return directories[number % len(directories)]


def _one(world: World, number: int) -> Node | None:
    living = world.mount.living()
    return living[number % len(living)] if living else None


def _place(world: World, directory: int, name: bytes) -> Place:
    return Place(_directory(world, directory), name)


def _clear(world: World, place: Place) -> bool:
    """Make way as rename(2) and open(2) with O_CREAT do; False if a directory that is not empty is there."""
    there = world.mount.at(place)
    if there is None:
        return True
    if there.kind is Kind.DIRECTORY and world.mount.inside[there.file]:
        return False
    world.mount.remove(there)
    world.touch(there)
    return True


def save(world: World, directory: int, name: bytes, durable: bool = True) -> None:
    """Open, write, close."""
    place = _place(world, directory, name)
    there = world.mount.at(place)
    if there is not None and there.kind is not Kind.FILE:
        return
    node = there or world.mount.make(place, Kind.FILE)
    world.mount.write(node, durable=durable)
    was = world.changed_s.get(node.file)
    world.touch(node)
    if there is not None and was is not None:
        world.changed_s[node.file] = was  # its name did not change


def save_aside(world: World, directory: int, name: bytes, durable: bool) -> None:
    """Write a temporary file, rename it over the real one."""
    place = _place(world, directory, name)
    there = world.mount.at(place)
    aside = Place(place.parent, b"w")
    if (there is not None and there.kind is Kind.DIRECTORY) or world.mount.at(aside) is not None:
        return
    temp = world.mount.make(aside, Kind.FILE)
    world.mount.write(temp, durable=durable)
    world.touch(temp)
    _clear(world, place)
    world.mount.rename(temp, place)
    world.touch(temp)


def back_up_and_save(world: World, directory: int, name: bytes) -> None:
    """Rename the old file to a backup name, write a new one, as vim does."""
    place = _place(world, directory, name)
    there, backup = world.mount.at(place), Place(place.parent, name + b"~")
    if there is None or there.kind is not Kind.FILE or not _clear(world, backup):
        return
    world.mount.rename(there, backup)
    world.touch(there)
    node = world.mount.make(place, Kind.FILE)
    world.mount.write(node, durable=True)
    world.touch(node)


def mkdir(world: World, directory: int, name: bytes) -> None:
    place = _place(world, directory, name)
    if world.mount.at(place) is None:
        world.touch(world.mount.make(place, Kind.DIRECTORY))


def link(world: World, directory: int, name: bytes, target: bytes) -> None:
    place = _place(world, directory, name)
    if world.mount.at(place) is None:
        world.touch(world.mount.make(place, Kind.SYMLINK, target=target))


def rename(world: World, number: int, directory: int, name: bytes) -> None:
    node, place = _one(world, number), _place(world, directory, name)
    if node is None or node.place == place or node.file in (place.parent, *world.mount.above(place.parent)):
        return
    there = world.mount.at(place)
    if there is not None and (node.kind is Kind.DIRECTORY) != (there.kind is Kind.DIRECTORY):
        return
    if _clear(world, place):
        old = world.mount.path(node.file)
        world.mount.rename(node, place)
        world.renamed(node, old)


def exchange(world: World, one: int, other: int) -> None:
    a, b = _one(world, one), _one(world, other)
    if a is None or b is None or a is b:
        return
    if a.file in world.mount.above(b.file) or b.file in world.mount.above(a.file):
        return
    paths = world.mount.path(a.file), world.mount.path(b.file)
    world.mount.exchange(a, b)
    world.renamed(a, paths[0])
    world.renamed(b, paths[1])


def remove(world: World, number: int) -> None:
    node = _one(world, number)
    if node is not None and not (node.kind is Kind.DIRECTORY and world.mount.inside[node.file]):
        world.mount.remove(node)
        world.touch(node)


def remove_all(world: World, number: int) -> None:
    """rm -rf, mkdir: a directory with the same name afterwards."""
    node = _one(world, number)
    if node is None or node.kind is not Kind.DIRECTORY or node.place is None:
        return
    place = node.place
    for each in [*reversed(list(world.mount.below(node.file))), node]:
        world.mount.remove(each)
        world.touch(each)
    world.touch(world.mount.make(place, Kind.DIRECTORY))


def rest(world: World) -> None:
    world.now_s += 10.0


_DO = {
    "save": save,
    "save aside": save_aside,
    "back up and save": back_up_and_save,
    "mkdir": mkdir,
    "link": link,
    "rename": rename,
    "exchange": exchange,
    "remove": remove,
    "remove all": remove_all,
    "work": World.work,
    "rest": rest,
    "rules": lambda world, number: world.use(rulebook(number)),
    "restart": World.restart,
}
