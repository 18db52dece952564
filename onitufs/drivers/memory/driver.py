"""The handlers of memory: all of them async."""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from blake3 import blake3

from onitufs.drivers.handlers import PARKED, PRIVATE, Found, Gear, RemotePath, Sighted, Upload
from onitufs.model.copies import RemoteState
from onitufs.model.errors import Conflict, DriverError, Gone, NeedsPerson, ServiceError
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

    @property
    def account(self) -> str | None:
        return self._service.account

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
        return _found(node)

    async def digest(self, path: RemotePath) -> bytes:
        await self._service.called("digest", path)
        node = self._service.nodes.get(path)
        if node is None:
            raise Gone(f"no {path}")
        if node.kind is not Kind.FILE:
            raise Conflict(f"{path} is not a file")
        return blake3(node.data).digest()

    async def list_directory(self, path: RemotePath) -> list[tuple[bytes, Found]]:
        await self._service.called("list_directory", path)
        node = self._service.nodes.get(path)
        if node is None or node.kind is not Kind.DIRECTORY:
            raise Gone(f"no directory {path}")
        found: list[tuple[bytes, Found]] = []
        for other, node in list(self._service.nodes.items()):
            if len(other) != len(path) + 1 or other[:-1] != path or other == (PRIVATE,):
                continue
            if self._service.list_fails_after is not None and len(found) >= self._service.list_fails_after:
                raise self._service.fault()
            found.append((other[-1], _found(node)))
        return found

    async def get_chunk(self, path: RemotePath, rev: str, offset: int, length: int) -> bytes:
        await self._service.called("get_chunk", path)
        async with aclosing(self._pieces(path, rev, offset, length)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def read_many(self, wanted: Sequence[tuple[RemotePath, str]]) -> list[bytes | DriverError]:
        await self._service.called("read_many")
        answers: list[bytes | DriverError] = []
        for path, rev in wanted:
            try:
                async with aclosing(self._pieces(path, rev, 0, None)) as pieces:
                    answers.append(b"".join([piece async for piece in pieces]))
            except DriverError as exc:
                answers.append(exc)
        return answers

    async def get_file(self, path: RemotePath, rev: str, fd: int, tick: Callable[[int], None]) -> bytes:
        await self._service.called("get_file", path)
        hasher, written, told = blake3(), 0, 0
        async with aclosing(self._pieces(path, rev, 0, None)) as pieces:
            async for piece in pieces:
                os.pwrite(fd, piece, written)
                hasher.update(piece)
                written += len(piece)
                if written - told >= self._service.tells_every:
                    told = written
                    tick(written)
        return hasher.digest()

    async def _pieces(self, path: RemotePath, rev: str, offset: int, length: int | None) -> AsyncGenerator[bytes]:
        """What is read, in chunks; checked against `rev` before each and after the last."""
        service = self._service
        read = 0
        while True:
            await service.called("read", path)
            if service.reads_stall is not None:
                await service.reads_stall.wait()
            node = service.nodes.get(path)
            if node is None:
                raise Gone(f"no {path}")
            if node.kind is not Kind.FILE or node.rev != rev:
                raise Conflict(f"{path} has rev {node.rev}, not {rev}")
            end = len(node.data) if length is None else min(len(node.data), offset + length)
            piece = node.data[offset + read : min(end, offset + read + CHUNK)]
            if not piece:
                return
            if service.read_fails_after is not None and read + len(piece) > service.read_fails_after:
                raise service.fault()
            yield piece
            read += len(piece)

    async def watch(self, cursor: str | None, tell: Callable[[Sighted], Awaitable[None]]) -> None:
        await self._service.called("watch")
        service = self._service
        first = True
        while True:
            paths = None if cursor is None else service.since(cursor)
            now = service.cursor
            if paths is None:
                await tell(Sighted(below=((),), cursor=now))
            elif paths or first:
                mine = dict.fromkeys(path for path in paths if path[:1] != (PRIVATE,))
                await tell(Sighted(paths=tuple(mine), cursor=now))
            cursor, first = now, False
            if service.cursor == now:
                await service.wait_for_change()

    async def make_directory(self, path: RemotePath, mode: int) -> tuple[RemoteState, bool]:
        await self._service.called("make_directory", path)
        self._service.parent(path)
        node = self._service.nodes.get(path)
        if node is not None:
            if node.kind is not Kind.DIRECTORY:
                raise Conflict(f"{path} is not a directory")
            return _state(node), False
        return _state(self._service.make_directory(path, mode)), True

    async def upload_file(self, upload: Upload, source: Source) -> RemoteState:
        await self._service.called("upload_file", upload.path)
        pieces = []
        for offset in range(0, upload.size, CHUNK):
            pieces.append(source.read(offset, CHUNK))
            await self._service.called("piece", upload.path)
        node = Node(Kind.FILE, self._service.new_rev(), b"".join(pieces), upload.mode, upload.mtime_ns)
        self._service.place(upload.path, upload.base, node)
        return RemoteState(rev=node.rev, remote_id=node.id, digest=blake3(node.data).digest())

    async def free_space(self) -> tuple[int, int | None]:
        await self._service.called("free_space")
        limit = self._service.limit if self._service.limit is not None else 1 << 40
        return max(0, limit - self._service.used), limit

    # -- uploads in chunks ---------------------------------------------------------------------------------------------

    @property
    def chunk_bytes(self) -> int:
        return self._service.chunk_bytes

    async def start_upload(self, upload: Upload) -> str:
        await self._service.called("start_upload", upload.path)
        self._service.parent(upload.path)
        return self._service.begin_upload(upload.path)

    async def upload_chunk(self, token: str, source: Source, offset: int, length: int) -> int:
        path = self._service.upload(token).path
        await self._service.called("upload_chunk", path)
        for at in range(offset, offset + length, CHUNK):
            await self._service.called("piece", path)
            self._service.take_piece(token, at, source.read(at, min(CHUNK, offset + length - at)))
        return offset + length

    async def end_upload(self, token: str, upload: Upload, source: Source) -> RemoteState:
        await self._service.called("end_upload", upload.path)
        data = bytes(self._service.upload(token).data)
        if len(data) != upload.size:
            raise ServiceError(f"{len(data)} bytes arrived where {upload.size} were sent")
        node = Node(Kind.FILE, self._service.new_rev(), data, upload.mode, upload.mtime_ns)
        self._service.place(upload.path, upload.base, node)
        del self._service.uploads[token]
        return RemoteState(rev=node.rev, remote_id=node.id, digest=blake3(data).digest())

    async def abort_upload(self, token: str) -> None:
        await self._service.called("abort_upload")
        self._service.uploads.pop(token, None)

    async def restart_upload(self, token: str, upload: Upload) -> int | None:
        await self._service.called("restart_upload", upload.path)
        sent = self._service.uploads.get(token)
        return None if sent is None else len(sent.data)

    async def make_symlink(self, path: RemotePath, target: bytes, mtime_ns: int, base: str | None) -> RemoteState:
        await self._service.called("make_symlink", path)
        node = Node(Kind.SYMLINK, self._service.new_rev(), target, 0o777, mtime_ns)
        self._service.place(path, base, node)
        return _state(node)

    async def move_file(
        self, path: RemotePath, rev: str, kind: Kind, to: RemotePath, replaces: str | None
    ) -> RemoteState:
        await self._service.called("move_file", path)
        nodes = self._service.nodes
        here, there = nodes.get(path), nodes.get(to)
        if here is None:
            if there is not None and there.rev == rev:
                return _state(there)
            raise Gone(f"no {path}")
        if here.kind is not kind or (here.rev != rev and not (rev == "" and kind is Kind.DIRECTORY)):
            raise Conflict(f"{path} has rev {here.rev}, not {rev}")
        if path == to:
            return _state(here)
        self._service.parent(to)
        if there is not None:
            if replaces is None or replaces not in ("", there.rev):
                raise Conflict(f"{to} has rev {there.rev}, not {replaces}")
            if self._service.below(to):
                raise Conflict(f"{to} is not empty")
            self._service.trash.append(there.data)
            del nodes[to]
        self._service.move(path, to)
        return _state(here)

    async def delete_file(self, path: RemotePath, rev: str) -> None:
        await self._service.called("delete_file", path)
        node = self._service.nodes.get(path)
        if node is None:
            return
        if node.rev != rev or node.kind is Kind.DIRECTORY:
            raise Conflict(f"{path} has rev {node.rev}, not {rev}")
        self._service.trash.append(node.data)
        self._service.delete(path)

    async def remove_directory(self, path: RemotePath, rev: str) -> bool:
        await self._service.called("remove_directory", path)
        node = self._service.nodes.get(path)
        if node is None:
            return True
        if node.kind is not Kind.DIRECTORY or rev not in ("", node.rev) or self._service.below(path):
            return False
        self._service.delete(path)
        return True

    async def set_attributes(self, path: RemotePath, rev: str, kind: Kind, mode: int, mtime_ns: int) -> RemoteState:
        await self._service.called("set_attributes", path)
        node = self._service.nodes.get(path)
        if node is None:
            raise Gone(f"no {path}")
        if node.kind is not kind or (node.rev != rev and not (rev == "" and kind is Kind.DIRECTORY)):
            raise Conflict(f"{path} has rev {node.rev}, not {rev}")
        node.mode, node.mtime_ns = mode, mtime_ns
        self._service.changed(path)
        return _state(node)


def _state(node: Node) -> RemoteState:
    return RemoteState(rev=node.rev, remote_id=node.id)


def _found(node: Node) -> Found:
    target = node.data if node.kind is Kind.SYMLINK else b""
    return Found(
        kind=node.kind, size=len(node.data), mtime_ns=node.mtime_ns, state=_state(node), target=target, mode=node.mode
    )
