"""The tree of names that programs change, as the catalog would hold it. Directories are named by their file id."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from onitufs.model.copies import Place
from onitufs.model.files import Kind
from onitufs.model.ids import FIRST_FREE, ROOT_FILE, FileId, GenerationId


@dataclass(slots=True)
class Node:
    file: FileId
    kind: Kind
    place: Place | None  # None once dead
    generation: int = 0
    content: bytes = b""
    durable: bool = True
    target: bytes = b""


@dataclass(slots=True)
class Mount:
    nodes: dict[FileId, Node] = field(default_factory=dict)
    inside: dict[FileId, dict[bytes, FileId]] = field(default_factory=lambda: {ROOT_FILE: {}})
    seq: int = FIRST_FREE

    def __post_init__(self) -> None:
        self.nodes[ROOT_FILE] = Node(ROOT_FILE, Kind.DIRECTORY, None)

    def next(self) -> int:
        self.seq += 1
        return self.seq

    def make(self, place: Place, kind: Kind, **fields: object) -> Node:
        assert place.name not in self.inside[place.parent]
        node = Node(FileId(self.next()), kind, place, **fields)  # type: ignore[arg-type]
        self.nodes[node.file] = node
        self.inside[place.parent][place.name] = node.file
        if kind is Kind.DIRECTORY:
            self.inside[node.file] = {}
        elif kind is Kind.SYMLINK:
            node.generation = self.next()
        return node

    def write(self, node: Node, *, durable: bool) -> None:
        node.generation = self.next()
        node.content = b"%d" % node.generation
        node.durable = durable

    def remove(self, node: Node) -> None:
        assert node.place is not None
        assert node.kind is not Kind.DIRECTORY or not self.inside.pop(node.file)
        del self.inside[node.place.parent][node.place.name]
        node.place = None

    def rename(self, node: Node, place: Place) -> None:
        assert node.place is not None
        assert place.name not in self.inside[place.parent]
        del self.inside[node.place.parent][node.place.name]
        self.inside[place.parent][place.name] = node.file
        node.place = place

    def exchange(self, a: Node, b: Node) -> None:
        assert a.place is not None
        assert b.place is not None
        a.place, b.place = b.place, a.place
        for node in (a, b):
            self.inside[node.place.parent][node.place.name] = node.file

    def at(self, place: Place) -> Node | None:
        file = self.inside[place.parent].get(place.name)
        return None if file is None else self.nodes[file]

    def is_alive(self, file: FileId) -> bool:
        return file == ROOT_FILE or (file in self.nodes and self.nodes[file].place is not None)

    def above(self, file: FileId) -> Iterator[FileId]:
        """The directories above a living file, without the root, innermost first."""
        place = self.nodes[file].place
        while place is not None and place.parent != ROOT_FILE:
            yield place.parent
            place = self.nodes[place.parent].place

    def path(self, file: FileId) -> bytes:
        if file == ROOT_FILE:
            return b"/"
        places = [self.nodes[each].place for each in (file, *self.above(file))]
        return b"".join(b"/" + place.name for place in reversed(places) if place is not None)

    def below(self, directory: FileId) -> Iterator[Node]:
        for file in list(self.inside[directory].values()):
            yield self.nodes[file]
            if self.nodes[file].kind is Kind.DIRECTORY:
                yield from self.below(file)

    def living(self) -> list[Node]:
        return list(self.below(ROOT_FILE))

    def directories(self) -> list[FileId]:
        return [ROOT_FILE, *(node.file for node in self.living() if node.kind is Kind.DIRECTORY)]

    def generation(self, node: Node) -> GenerationId:
        return GenerationId(node.generation)
