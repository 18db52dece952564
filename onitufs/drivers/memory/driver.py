"""The handlers of memory: all of them async."""

from blake3 import blake3

from onitufs.drivers.handlers import PARKED, Found, Gear, RemotePath, Upload
from onitufs.model.copies import RemoteState
from onitufs.model.errors import Conflict, Gone, NeedsPerson
from onitufs.model.files import Kind
from onitufs.model.source import Source

from . import service
from .options import MemoryOptions
from .service import Node

CHUNK = 1 << 16


class Memory:
    """A Service of this process. Repeating any handler is safe."""

    def __init__(self, options: MemoryOptions, gear: Gear) -> None:
        self._service = service.get(options.service)
        self._gear = gear
        self._connected = False

    async def connect(self) -> str:
        await self._service.called("connect")
        self._look()
        for path in (PARKED[:1], PARKED):
            self._service.nodes.setdefault(path, Node(Kind.DIRECTORY, self._service.new_rev()))
        self._service.connections += 1
        self._connected = True
        return self._service.identity

    async def close(self) -> None:
        if self._connected:
            self._connected = False
            self._service.connections -= 1

    async def probe(self) -> None:
        await self._service.called("probe")
        self._look()

    def _look(self) -> None:
        if self._gear.identity not in (None, self._service.identity):
            raise NeedsPerson(f"this is {self._service.identity}, not {self._gear.identity}; correct the setup")

    async def stat(self, path: RemotePath) -> Found | None:
        await self._service.called("stat", path)
        node = self._service.nodes.get(path)
        if node is None:
            return None
        target = node.data if node.kind is Kind.SYMLINK else b""
        state = RemoteState(rev=node.rev)
        return Found(kind=node.kind, size=len(node.data), mtime_ns=node.mtime_ns, state=state, target=target)

    async def digest(self, path: RemotePath) -> bytes:
        await self._service.called("digest", path)
        node = self._service.nodes.get(path)
        if node is None:
            raise Gone(f"no {path}")
        if node.kind is not Kind.FILE:
            raise Conflict(f"{path} is not a file")
        return blake3(node.data).digest()

    async def make_directory(self, path: RemotePath, mode: int) -> tuple[RemoteState, bool]:
        await self._service.called("make_directory", path)
        self._service.parent(path)
        node = self._service.nodes.get(path)
        if node is not None:
            if node.kind is not Kind.DIRECTORY:
                raise Conflict(f"{path} is not a directory")
            return RemoteState(rev=node.rev), False
        self._service.nodes[path] = node = Node(Kind.DIRECTORY, self._service.new_rev(), mode=mode)
        return RemoteState(rev=node.rev), True

    async def upload_file(self, upload: Upload, source: Source) -> RemoteState:
        await self._service.called("upload_file", upload.path)
        pieces = []
        for offset in range(0, upload.size, CHUNK):
            pieces.append(source.read(offset, CHUNK))
            await self._service.called("upload_chunk", upload.path)
        node = Node(Kind.FILE, self._service.new_rev(), b"".join(pieces), upload.mode, upload.mtime_ns)
        self._service.place(upload.path, upload.base, node)
        return RemoteState(rev=node.rev, digest=blake3(node.data).digest())

    async def make_symlink(self, path: RemotePath, target: bytes, mtime_ns: int, base: str | None) -> RemoteState:
        await self._service.called("make_symlink", path)
        node = Node(Kind.SYMLINK, self._service.new_rev(), target, 0o777, mtime_ns)
        self._service.place(path, base, node)
        return RemoteState(rev=node.rev)

    async def move_file(
        self, path: RemotePath, rev: str, kind: Kind, to: RemotePath, replaces: str | None
    ) -> RemoteState:
        await self._service.called("move_file", path)
        nodes = self._service.nodes
        here, there = nodes.get(path), nodes.get(to)
        if here is None:
            if there is not None and there.rev == rev:
                return RemoteState(rev=rev)
            raise Gone(f"no {path}")
        if here.kind is not kind or (here.rev != rev and not (rev == "" and kind is Kind.DIRECTORY)):
            raise Conflict(f"{path} has rev {here.rev}, not {rev}")
        if path == to:
            return RemoteState(rev=here.rev)
        self._service.parent(to)
        if there is not None:
            if replaces is None or replaces not in ("", there.rev):
                raise Conflict(f"{to} has rev {there.rev}, not {replaces}")
            if self._service.below(to):
                raise Conflict(f"{to} is not empty")
            self._service.trash.append(there.data)
            del nodes[to]
        self._service.move(path, to)
        return RemoteState(rev=here.rev)

    async def delete_file(self, path: RemotePath, rev: str) -> None:
        await self._service.called("delete_file", path)
        node = self._service.nodes.get(path)
        if node is None:
            return
        if node.rev != rev or node.kind is Kind.DIRECTORY:
            raise Conflict(f"{path} has rev {node.rev}, not {rev}")
        self._service.trash.append(node.data)
        del self._service.nodes[path]

    async def remove_directory(self, path: RemotePath, rev: str) -> bool:
        await self._service.called("remove_directory", path)
        node = self._service.nodes.get(path)
        if node is None:
            return True
        if node.kind is not Kind.DIRECTORY or rev not in ("", node.rev) or self._service.below(path):
            return False
        del self._service.nodes[path]
        return True

    async def set_attributes(self, path: RemotePath, rev: str, kind: Kind, mode: int, mtime_ns: int) -> RemoteState:
        await self._service.called("set_attributes", path)
        node = self._service.nodes.get(path)
        if node is None:
            raise Gone(f"no {path}")
        if node.kind is not kind or (node.rev != rev and not (rev == "" and kind is Kind.DIRECTORY)):
            raise Conflict(f"{path} has rev {node.rev}, not {rev}")
        node.mode, node.mtime_ns = mode, mtime_ns
        return RemoteState(rev=node.rev)
