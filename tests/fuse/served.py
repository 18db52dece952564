"""A mount of a real volume, in a process of its own, that takes commands from the test that started it.

    python -m tests.fuse.served STATE MOUNTPOINT OPTIONS(JSON)

Each line on standard input is a JSON command; each is answered by one JSON line. The first line out says that the
mount answers. When standard input ends it unmounts and goes.
"""

import json
import logging
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyfuse3
import trio

from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.fuse import mounting
from onitufs.fuse.errnos import answering, unanswered
from onitufs.fuse.operations import Operations
from onitufs.model.errors import OnituError
from onitufs.model.ids import InodeNumber
from onitufs.volume import Volume
from onitufs.volume.space import Space


class Planted(Operations):
    """Operations with bugs behind some names, and files whose bytes are on an entry that never answers."""

    def __init__(self, volume: Volume, *, xattr: bool) -> None:
        super().__init__(volume, xattr=xattr)
        self.waiting = 0
        self.asked: dict[str, int] = {}
        self.came = trio.Event()
        self.answered = trio.Event()
        self.forgot = trio.Event()
        self.closed = trio.Event()
        self._dead: set[int] = set()

    @answering
    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        match name:
            case b"bug":
                raise ZeroDivisionError("planted")
            case b"bug in a nursery":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_fail, ZeroDivisionError("planted"))
            case b"disk error in a nursery":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_fail, OSError(5, "planted"))
                    nursery.start_soon(trio.sleep_forever)
            case b"deadline":
                with trio.fail_after(0):
                    await trio.sleep_forever()
        return await super().mkdir(parent_inode, name, mode, ctx)

    @answering
    async def getxattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> bytes:
        self.asked["getxattr"] = self.asked.get("getxattr", 0) + 1
        return await super().getxattr(inode, name, ctx)

    @unanswered
    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        await super().forget(inode_list)
        self.forgot.set()
        self.forgot = trio.Event()

    @answering
    async def release(self, fh: int) -> None:
        await super().release(fh)
        self.closed.set()
        self.closed = trio.Event()

    @answering
    async def releasedir(self, fh: int) -> None:
        await super().releasedir(fh)
        self.closed.set()
        self.closed = trio.Event()

    @answering
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        info = await super().open(inode, flags, ctx)
        names = map(self.volume.name, self.volume.inode(InodeNumber(inode)).files)
        if any(name is not None and name.name.startswith(b"dead") for name in names):
            self._dead.add(info.fh)
            info.direct_io, info.keep_cache = True, False
        return info

    @answering
    async def read(self, fh: int, off: int, size: int) -> bytes:
        if fh in self._dead and not self.answered.is_set():
            self.waiting += 1
            self.came.set()
            self.came = trio.Event()
            try:
                await self.answered.wait()
            finally:
                self.waiting -= 1
        return await super().read(fh, off, size)


async def _fail(error: Exception) -> None:
    raise error


class Commands:
    """What a test may ask for. Paths are relative to the mount."""

    def __init__(self, operations: Planted, mount: mounting.Mount) -> None:
        self.operations = operations
        self.volume = operations.volume
        self.mount = mount

    def _at(self, path: str) -> tuple[InodeNumber, bytes]:
        above, name = os.path.split(os.fsencode(path))
        return self.volume.resolve(b"/" + above)[1].number, name

    async def arrive(self, path: str, text: str, tell: bool) -> int:
        """A file comes, or is edited, on an entry: a new inode under the name, then the kernel is told. Its number."""
        parent, name = self._at(path)
        inode, handle = self.volume.create(parent, b".arriving", 0o644, os.getuid(), os.getgid())
        self.volume.write(handle, 0, text.encode())
        self.volume.flush(handle)
        self.volume.release(handle)
        self.volume.rename(parent, b".arriving", parent, name)
        if tell:
            self.mount.changed_outside(parent, name)
            await self.mount.told()
        return inode.number

    async def vanish(self, path: str, tell: bool) -> None:
        parent, name = self._at(path)
        self.volume.unlink(parent, name)
        if tell:
            self.mount.changed_outside(parent, name)
            await self.mount.told()

    def waiting(self) -> int:
        return self.operations.waiting

    def answer(self) -> None:
        self.operations.answered.set()

    def lookups(self, number: int) -> int:
        return self.operations.lookups.count(InodeNumber(number))

    def known(self, number: int) -> bool:
        """Whether the catalog still has this inode."""
        try:
            return self.volume.peek(InodeNumber(number)).nlink > 0
        except OnituError:
            return False

    async def opened_at_most(self, handles: int) -> None:
        """Wait until RELEASE came for all but so many open files."""
        while len(self.volume.handles) > handles:
            await self.operations.closed.wait()

    def read_s(self) -> float:
        """When a request was last read, as Turns saw it."""
        assert self.mount.turns is not None
        return self.mount.turns.read_s

    def asked(self, handler: str) -> int:
        """How often the kernel has called the handler."""
        return self.operations.asked.get(handler, 0)

    def generation(self, number: int) -> int:
        return self.volume.peek(InodeNumber(number)).generation

    def listings(self) -> int:
        """How many directories are open."""
        return len(self.operations.directories)

    async def listings_closed(self, at_most: int) -> None:
        while len(self.operations.directories) > at_most:
            await self.operations.closed.wait()

    def is_durable(self) -> bool:
        """Whether all history so far is on disk."""
        return self.volume.catalog.durable_seq >= self.volume.catalog.next_seq - 1

    async def forgotten(self, number: int) -> None:
        """Wait until the kernel has given back every lookup of this inode."""
        while self.operations.lookups.count(InodeNumber(number)):
            await self.operations.forgot.wait()

    async def waiting_for(self, readers: int) -> int:
        """Wait until so many reads wait for the entry that never answers."""
        while self.operations.waiting < readers:
            await self.operations.came.wait()
        return self.operations.waiting

    async def unmount(self, force: bool) -> bool:
        return await self.mount.unmount(force=force)


async def _obey(commands: Commands) -> None:
    left = b""
    source = trio.lowlevel.FdStream(os.dup(0))
    async for piece in source:
        *lines, left = (left + piece).split(b"\n")
        for line in lines:
            order = json.loads(line)
            answer: Any = getattr(commands, order.pop("do"))(**order)
            if hasattr(answer, "__await__"):
                answer = await answer
            _say({"answer": answer})


def _say(words: dict[str, Any]) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


async def main(state: Path, point: str, options: dict[str, Any]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    xattr = options.pop("xattr", False)
    content = ContentStore(state / "content")
    catalog = Catalog.open(state / "catalog", content)
    try:
        volume = Volume(catalog, content, Space(state), owner=(os.getuid(), os.getgid()))
        volume.recover()
        operations = Planted(volume, xattr=xattr)
        async with trio.open_nursery() as nursery:
            await nursery.start(catalog.run)
            await nursery.start(volume.run)
            with mounting.mounted(operations, point, mounting.Options(**options)) as mount:

                async def obey() -> None:
                    await _obey(Commands(operations, mount))
                    await mount.unmount(force=True)

                nursery.start_soon(obey)
                await mount.serve(lambda: _say({"ready": os.getpid()}))
                operations.answered.set()
            nursery.cancel_scope.cancel()
    finally:
        catalog.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        trio.run(main, Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
    except* OnituError as trouble:
        _say({"trouble": [str(one) for one in trouble.exceptions]})
