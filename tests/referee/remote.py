"""What stands on one simulated entry, and a driver that carries orders out on it by path, as a real one does."""

from __future__ import annotations

from dataclasses import dataclass, field

from onitufs.model.copies import Copy, RemoteState
from onitufs.model.files import Kind
from onitufs.model.ids import FileId
from onitufs.model.orders import Delete, Done, Move, Order, Put, SetAttributes

RemotePath = tuple[bytes, ...]
PARKED = (b".onitufs", b"parked")


class Wrong(AssertionError):
    """The order does not fit what is there: with no one else about, a mistake of ours."""


@dataclass(slots=True)
class Thing:
    kind: Kind
    rev: int
    content: bytes = b""
    inside: dict[bytes, Thing] = field(default_factory=dict)


@dataclass(slots=True)
class Prepared:
    """An order with the paths that it began with."""

    order: Order
    place: RemotePath
    source: RemotePath
    missing: list[tuple[FileId, RemotePath]]

    def touches(self) -> set[RemotePath]:
        return {path for path in (self.place, self.source) if path}

    def concerns(self, file: FileId) -> bool:
        return file == self.order.file or any(file == made for made, _ in self.missing)

    def makes(self) -> list[tuple[FileId, RemotePath]]:
        own = [(self.order.file, self.place)] if isinstance(self.order, Put) else []
        return [*self.missing, *own]


class Remote:
    def __init__(self) -> None:
        parked = Thing(Kind.DIRECTORY, 0)
        self.root = Thing(Kind.DIRECTORY, 0, inside={PARKED[0]: Thing(Kind.DIRECTORY, 0, inside={PARKED[1]: parked})})
        self.revs = 0

    def carry_out(self, prepared: Prepared, content: bytes) -> Done:
        order = prepared.order
        made = [(file, self._make_directory(path)) for file, path in prepared.missing]
        match order:
            case Put():
                if order.kind is Kind.DIRECTORY:
                    made.append((order.file, self._make_directory(prepared.place)))
                else:
                    self._put(prepared.place, order, content)
            case Move():
                self._move(prepared, order)
            case Delete():
                if not self._delete(prepared.source, order.copy):
                    return Done(order=order, state=None, remains=True)
                return Done(order=order, state=None)
            case SetAttributes():
                self._known(prepared.source, order.copy)
        thing = self.find(prepared.place or prepared.source)
        assert thing is not None
        return Done(order=order, state=RemoteState(rev=str(thing.rev)), made=tuple(made))

    def find(self, path: RemotePath) -> Thing | None:
        thing: Thing | None = self.root
        for name in path:
            thing = thing.inside.get(name) if thing is not None else None
        return thing

    def listing(self) -> dict[bytes, bytes | None]:
        """Every path below the root: content of files (of links, b"-> " and the target), None for directories."""
        found: dict[bytes, bytes | None] = {}

        def walk(thing: Thing, above: bytes) -> None:
            for name, inner in thing.inside.items():
                path = above + b"/" + name
                found[path] = None if inner.kind is Kind.DIRECTORY else inner.content
                walk(inner, path)

        walk(self.root, b"")
        for number in range(1, len(PARKED) + 1):
            del found[b"/" + b"/".join(PARKED[:number])]
        return found

    def _above(self, path: RemotePath) -> Thing:
        above = self.find(path[:-1])
        if above is None or above.kind is not Kind.DIRECTORY:
            raise Wrong(f"nothing to put {path} into")
        return above

    def _known(self, path: RemotePath, copy: Copy) -> Thing:
        thing = self.find(path)
        if thing is None or str(thing.rev) != copy.rev or thing.kind is not copy.kind:
            raise Wrong(f"{path} is not what {copy} says")
        return thing

    def _rev(self) -> int:
        self.revs += 1
        return self.revs

    def _make_directory(self, path: RemotePath) -> bool:
        above = self._above(path)
        there = above.inside.get(path[-1])
        if there is None:
            above.inside[path[-1]] = Thing(Kind.DIRECTORY, 0)
        elif there.kind is not Kind.DIRECTORY:
            raise Wrong(f"{path} is in the way of a directory")
        return there is None

    def _put(self, path: RemotePath, order: Put, content: bytes) -> None:
        above = self._above(path)
        expected = order.replaces or order.had
        if expected is not None:
            self._known(path, expected)
        elif path[-1] in above.inside:
            raise Wrong(f"{path} is taken by something that nobody knows")
        above.inside[path[-1]] = Thing(order.kind, self._rev(), content)

    def _move(self, prepared: Prepared, order: Move) -> None:
        thing = self._known_or_directory(prepared.source, order.copy)
        above = self._above(prepared.place)
        if prepared.place[: len(prepared.source)] == prepared.source:
            raise Wrong(f"{prepared.source} into itself")
        if order.replaces is not None:
            self._known(prepared.place, order.replaces)
        elif prepared.place[-1] in above.inside:
            raise Wrong(f"{prepared.place} is taken by something that nobody knows")
        del self._above(prepared.source).inside[prepared.source[-1]]
        above.inside[prepared.place[-1]] = thing

    def _known_or_directory(self, path: RemotePath, copy: Copy) -> Thing:
        thing = self.find(path)
        if thing is not None and thing.kind is Kind.DIRECTORY is copy.kind:
            return thing
        return self._known(path, copy)

    def _delete(self, path: RemotePath, copy: Copy) -> bool:
        thing = self._known_or_directory(path, copy)
        if thing.kind is Kind.DIRECTORY and (thing.inside or not copy.made):
            return False
        del self._above(path).inside[path[-1]]
        return True
