"""The service: a tree of objects with revs, and what somebody else does to it."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from onitufs.drivers.handlers import RemotePath
from onitufs.model.errors import Conflict, Gone, QuotaFull
from onitufs.model.files import Kind

_services: dict[str, "Service"] = {}


def get(name: str) -> "Service":
    """The service of that name, made at the first call."""
    return _services.setdefault(name, Service(name))


@dataclass(slots=True)
class Node:
    kind: Kind
    rev: str
    data: bytes = b""  # of a symlink: its target
    mode: int = 0o644
    mtime_ns: int = 0


class Service:
    """Objects by path. `hook` is awaited before each call with its name and path: it may wait, raise, or note it.

    `limit`: bytes that fit; more raises QuotaFull. `trash`: contents of what was replaced or deleted, oldest first.
    """

    def __init__(self, name: str) -> None:
        self.identity = f"memory:{name}"
        self.nodes: dict[RemotePath, Node] = {(): Node(Kind.DIRECTORY, "root")}
        self.trash: list[bytes] = []
        self.limit: int | None = None
        self.hook: Callable[[str, RemotePath], Awaitable[None]] | None = None
        self.calls: list[tuple[str, RemotePath]] = []
        self.connections = 0
        self._revs = itertools.count(1)

    async def called(self, what: str, path: RemotePath = ()) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append((what, path))
        if self.hook is not None:
            await self.hook(what, path)

    def new_rev(self) -> str:
        return str(next(self._revs))

    def parent(self, path: RemotePath) -> None:
        """Raises Gone if there is no directory to hold `path`."""
        above = self.nodes.get(path[:-1])
        if above is None or above.kind is not Kind.DIRECTORY:
            raise Gone(f"no directory {path[:-1]}")

    def place(self, path: RemotePath, base: str | None, node: Node) -> None:
        """Put an object at a path, in the place of the one with rev `base`."""
        self.parent(path)
        old = self.nodes.get(path)
        if old is not None and (old.rev != base or old.kind is Kind.DIRECTORY):
            raise Conflict(f"{path} has rev {old.rev}, not {base}")
        used = sum(len(other.data) for other in self.nodes.values())
        if self.limit is not None and used + len(node.data) - (len(old.data) if old else 0) > self.limit:
            raise QuotaFull(f"{self.identity} is full; delete something")
        if old is not None:
            self.trash.append(old.data)
        self.nodes[path] = node

    def below(self, path: RemotePath) -> list[RemotePath]:
        """Everything strictly below a directory."""
        return [other for other in self.nodes if len(other) > len(path) and other[: len(path)] == path]

    def move(self, path: RemotePath, to: RemotePath) -> None:
        for other in [path, *self.below(path)]:
            self.nodes[(*to, *other[len(path) :])] = self.nodes.pop(other)
