"""The service: a tree of objects with revs, what somebody else does to it, and how it fails."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from onitufs.drivers.handlers import RemotePath
from onitufs.model.errors import Conflict, Gone, QuotaFull, ServiceError
from onitufs.model.files import Kind

_services: dict[str, "Service"] = {}


def get(name: str) -> "Service":
    """The service of that name, made at the first call."""
    return _services.setdefault(name, Service(name))


_ids = itertools.count(1)


@dataclass(slots=True)
class Node:
    kind: Kind
    rev: str
    data: bytes = b""  # of a symlink: its target
    mode: int = 0o644
    mtime_ns: int = 0
    id: str = field(default_factory=lambda: f"id{next(_ids)}")  # stays when it is renamed or edited


@dataclass(slots=True)
class Sent:
    """An upload in chunks: for which path it was begun, and what came so far."""

    path: RemotePath
    data: bytearray = field(default_factory=bytearray)


class Service:
    """Objects by path. `hook` is awaited before each call with its name and path: it may wait, raise, or note it.

    `limit`: bytes that fit; more raises QuotaFull. `trash`: contents of what was replaced or deleted, oldest first.

    Faults. `list_fails_after`: so many names, then `fault` is raised. `read_fails_after`: so many bytes of one reading.
    `reads_stall`: set to an Event, readings wait for it before each chunk. `sending_fails_after`: so many bytes of one
    upload in chunks are taken, then `fault` is raised, once. `tells_every`: so many bytes of a whole file are written
    before that is told. For anything else there is `hook`.

    `uploads`: what was sent in chunks and has no name yet, by token.
    """

    def __init__(self, name: str) -> None:
        self.identity = f"memory:{name}"
        self.nodes: dict[RemotePath, Node] = {(): Node(Kind.DIRECTORY, "root")}
        self.trash: list[bytes] = []
        self.limit: int | None = None
        self.hook: Callable[[str, RemotePath], Awaitable[None]] | None = None
        self.calls: list[tuple[str, RemotePath]] = []
        self.connections = 0
        self.list_fails_after: int | None = None
        self.read_fails_after: int | None = None
        self.fault: Callable[[], Exception] = lambda: ServiceError("the line broke")
        self.tells_every = 0
        self.reads_stall: trio.Event | None = None
        self.account: str | None = None
        self.chunk_bytes = 8 << 20
        self.uploads: dict[str, Sent] = {}
        self.sending_fails_after: int | None = None
        self._changes: list[RemotePath] = []
        self._forgotten = 0  # changes that no cursor can ask for any more
        self._changed = trio.Event()
        self._revs = itertools.count(1)

    async def called(self, what: str, path: RemotePath = ()) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append((what, path))
        if self.hook is not None:
            await self.hook(what, path)

    @property
    def used(self) -> int:
        """Bytes of all that is there."""
        return sum(len(node.data) for node in self.nodes.values())

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
        if self.limit is not None and self.used + len(node.data) - (len(old.data) if old else 0) > self.limit:
            raise QuotaFull(f"{self.identity} is full; delete something")
        if old is not None:
            self.trash.append(old.data)
            node.id = old.id
        self.nodes[path] = node
        self.changed(path)

    def begin_upload(self, path: RemotePath) -> str:
        token = f"upload{next(_ids)}"
        self.uploads[token] = Sent(path)
        return token

    def take_piece(self, token: str, offset: int, data: bytes) -> None:
        """Take bytes of an upload that begin where the ones before ended. Raises Gone for an unknown token."""
        sent = self.upload(token)
        if offset != len(sent.data):
            raise ServiceError(f"a piece at {offset} where {len(sent.data)} was expected")
        if self.sending_fails_after is not None and offset + len(data) > self.sending_fails_after:
            sent.data += data[: self.sending_fails_after - offset]
            self.sending_fails_after = None
            raise self.fault()
        sent.data += data

    def upload(self, token: str) -> Sent:
        """Raises Gone for an unknown token."""
        sent = self.uploads.get(token)
        if sent is None:
            raise Gone(f"no upload {token}")
        return sent

    def below(self, path: RemotePath) -> list[RemotePath]:
        """Everything strictly below a directory."""
        return [other for other in self.nodes if len(other) > len(path) and other[: len(path)] == path]

    # -- what somebody else does; the driver, too ----------------------------------------------------------------------

    def put(self, path: RemotePath, data: bytes, *, mode: int = 0o644, mtime_ns: int = 0) -> Node:
        """A new file in the place of whatever stands there, as a program does that saves aside and renames."""
        self.parent(path)
        self.nodes[path] = node = Node(Kind.FILE, self.new_rev(), data, mode, mtime_ns)
        self.changed(path)
        return node

    def edit(self, path: RemotePath, data: bytes, *, mtime_ns: int | None = None) -> None:
        """Other bytes in the same file."""
        node = self.nodes[path]
        node.data, node.rev = data, self.new_rev()
        node.mtime_ns = node.mtime_ns + 1 if mtime_ns is None else mtime_ns
        self.changed(path)

    def link(self, path: RemotePath, target: bytes) -> None:
        """A symbolic link."""
        self.parent(path)
        self.nodes[path] = Node(Kind.SYMLINK, self.new_rev(), target, 0o777)
        self.changed(path)

    def make_directory(self, path: RemotePath, mode: int = 0o755) -> Node:
        self.parent(path)
        self.nodes[path] = node = Node(Kind.DIRECTORY, self.new_rev(), mode=mode)
        self.changed(path)
        return node

    def move(self, path: RemotePath, to: RemotePath) -> None:
        """Rename, with all that is below."""
        for other in [path, *self.below(path)]:
            self.nodes[(*to, *other[len(path) :])] = self.nodes.pop(other)
        self.changed(path, to)

    def delete(self, path: RemotePath) -> None:
        """Remove, with all that is below. Not by way of the trash."""
        for other in [*self.below(path), path]:
            del self.nodes[other]
        self.changed(path)

    # -- telling what changes ------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> str:
        return str(self._forgotten + len(self._changes))

    def changed(self, *paths: RemotePath) -> None:
        self._changes += paths
        self._changed.set()
        self._changed = trio.Event()

    def since(self, cursor: str) -> list[RemotePath] | None:
        """What changed since; None: it is not known any more."""
        start = int(cursor) - self._forgotten
        return None if start < 0 else self._changes[start:]

    def forget_changes(self) -> None:
        """No cursor given so far is good any more."""
        self._forgotten += len(self._changes) + 1
        self._changes.clear()
        self.changed()

    async def wait_for_change(self) -> None:
        await self._changed.wait()
