"""What stands at many paths, in fewer calls than there are paths.

Dropbox answers for one path a call, or for a whole folder. So a folder of which several names are asked for is listed,
as far as that is worth it. Either way it is what stands there now, and not what the feed said of it: see
docs/decisions/0009.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVarTuple

from onitufs.drivers.handlers import Found, RemotePath
from onitufs.model.errors import AuthNeeded, DriverError, Gone, NameNotAllowed, NeedsPerson, ServiceError

from . import names
from .tree import Listed, Tree, found_of, is_left_out, name_of, plainness

FROM = 3
"""A folder is listed if so many of its names are asked for,"""
WORTH = 40
"""and as far as it has so many items for each of them: so many of a list cost about what a call does."""

Ts = TypeVarTuple("Ts")
Answer = Found | DriverError | None


def stat(tree: Tree, path: RemotePath) -> Found | None:
    """What stands at one path. That nothing does may be because the whole entry has gone."""
    try:
        found, _ = tree.look(path)
    except Gone:
        return None
    return _found(found) if found is not None else None


def stat_many(tree: Tree, paths: Sequence[RemotePath]) -> list[Answer]:
    """As stat() of each, in order. Raises only what concerns all of them."""
    asked: dict[RemotePath, list[bytes]] = {}
    for path in paths:
        asked.setdefault(path[:-1], []).append(path[-1])
    seen: dict[RemotePath, Answer] = {}
    for folder, wanted in asked.items():
        if len(wanted) >= FROM:
            with contextlib.suppress(NameNotAllowed):  # of a folder above: each of them will say so
                seen.update(((*folder, name), answer) for name, answer in _in_folder(tree, folder, wanted))
    return [seen[path] if path in seen else _answer(stat, tree, path) for path in paths]


def _found(metadata: Any) -> Found:
    if is_left_out(metadata):
        raise NameNotAllowed("a document that only Dropbox can open has this name; rename one of them")
    return found_of(metadata)


def _answer(look: Callable[[*Ts], Found | None], *args: *Ts) -> Answer:
    try:
        return look(*args)
    except (AuthNeeded, NeedsPerson, ServiceError):
        raise  # it may concern all of them
    except DriverError as exc:
        return exc


def _in_folder(tree: Tree, folder: RemotePath, wanted: Sequence[bytes]) -> Iterator[tuple[bytes, Answer]]:
    """Those of the names of which a list of their folder, as far as it is worth it, says what they are."""
    try:
        listed = _listed(tree, folder, WORTH * len(wanted))
    except Gone:
        yield from dict.fromkeys(wanted).items()
        return
    here: dict[bytes, list[Any]] = {}
    for entry in listed.entries:
        here.setdefault(name_of(entry), []).append(entry)
    for name in wanted:
        there = min(here.get(name, ()), key=plainness, default=None)
        if there is None:
            if listed.complete:
                yield name, None
        elif listed.complete or there.name == names.plain(name):  # else one that a look finds first may be to come
            yield name, _answer(_found, there)


def _listed(tree: Tree, folder: RemotePath, most: int) -> Listed:
    """Raises Gone if there is no such directory."""
    stored = tree.directory(folder)
    try:
        return tree.listed(stored, most)
    except Gone:
        tree.forget(folder)  # it was remembered, and may have another spelling by now
    return tree.listed(tree.directory(folder), most)
