"""A mount of a real volume, in a process of its own, that takes commands from the test that started it.

    python -m tests.fuse.served STATE MOUNTPOINT OPTIONS(JSON)

Each line on standard input is a JSON command; each is answered by one JSON line. The first line out says that the
mount answers. When standard input ends it unmounts and goes.
"""

import contextlib
import json
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyfuse3
import trio

from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.daemon.fetching import Fetcher
from onitufs.daemon.holders import Holders
from onitufs.drivers import memory
from onitufs.drivers.memory import service
from onitufs.drivers.plug import Plug
from onitufs.fuse import mounting
from onitufs.fuse.errnos import answering, unanswered
from onitufs.fuse.operations import Operations
from onitufs.fuse.scanners import Scanners
from onitufs.model.copies import Copy, Place
from onitufs.model.errors import OnituError
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, EntryName, FileId, GenerationId, InodeNumber
from onitufs.volume import Volume
from onitufs.volume.opened import Handle
from onitufs.volume.placements import Placements
from onitufs.volume.space import Space
from onitufs.volume.tree import Changes


class Planted(Operations):
    """Operations with bugs behind some names, that count who waits for bytes that are not here."""

    def __init__(self, volume: Volume, *, xattr: bool, scanners: Scanners) -> None:
        super().__init__(volume, xattr=xattr, scanners=scanners)
        self.waiting = 0
        self.asked: dict[str, int] = {}
        self.came = trio.Event()
        self.forgot = trio.Event()
        self.closed = trio.Event()

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
            case b"never answered":
                self.came.set()
                await trio.sleep_forever()
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
        if not self.volume.peek(InodeNumber(inode)).absent:
            return await super().open(inode, flags, ctx)
        with self._wait():
            return await super().open(inode, flags, ctx)

    @answering
    async def read(self, fh: int, off: int, size: int) -> bytes:
        if self.volume.is_here(Handle(fh)):
            return await super().read(fh, off, size)
        with self._wait():
            return await super().read(fh, off, size)

    @contextlib.contextmanager
    def _wait(self) -> Iterator[None]:
        self.waiting += 1
        self.came.set()
        self.came = trio.Event()
        try:
            yield
        finally:
            self.waiting -= 1


async def _fail(error: Exception) -> None:
    raise error


class Far:
    """Two entries, whose services are in memory, and what fetches from them. All is on "far", and some on "spare"."""

    def __init__(self, volume: Volume, state: Path, stall_s: float) -> None:
        self.services = {name: service.get(f"{state}/{name}") for name in ("far", "spare")}
        self.service = self.services["far"]
        self._volume = volume
        self._placements = Placements(volume.catalog)
        self._plugs = {EntryName(name): self._plug(state, name) for name in self.services}
        self._doubts, self._doubted = 0, trio.Event()
        velocities = {EntryName("far"): 0.9, EntryName("spare"): 0.1}
        holders = Holders(self._placements, lambda: self._plugs, self._suspect, lambda: velocities)
        self._fetcher = volume.far = Fetcher(volume, holders, stall_s=stall_s, bound_s=stall_s * 3)

    def _plug(self, state: Path, name: str) -> Plug:
        options = memory.DRIVER.read_options({"service": f"{state}/{name}"}, state, "")
        return Plug(
            EntryName(name), memory.DRIVER, options, open_source=_unplaced, path_of=_unplaced, directory=_unplaced,
            report=_unplaced, identity=None, remember_identity=lambda _: None, work_dir=state / "work" / name,
        )  # fmt: skip

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            for plug in self._plugs.values():
                nursery.start_soon(plug.run)
                await plug.connected()
            await nursery.start(self._fetcher.run)
            task_status.started()

    def _suspect(self, copy: Copy) -> bool:
        """Somebody looks at what is there: the test, which says what becomes of it."""
        del copy
        self._doubts += 1
        self._doubted.set()
        return True

    async def doubted(self) -> None:
        """Wait until what is there was found not to be what was known; since the last time."""
        while not self._doubts:
            self._doubted = trio.Event()
            await self._doubted.wait()
        self._doubts = 0

    def adopt(self, parent: InodeNumber, name: bytes, data: bytes, *, spare: bool) -> int:
        revs = {"far": self.service.put((name,), data).rev}
        if spare:
            revs["spare"] = self.services["spare"].put((name,), data).rev
        also = self._noting(name, data, revs)
        file = self._volume.adopt(parent, name, Kind.FILE, size=len(data), mtime_ns=0, mode=0o644, also=also)
        return self._number(file)

    def replace(self, file: FileId, name: bytes, data: bytes, rev: str) -> int:
        also = self._noting(name, data, {"far": rev})
        self._volume.replace_content(file, size=len(data), mtime_ns=0, mode=0o644, also=also)
        return self._number(file)

    def _number(self, file: FileId) -> int:
        found = self._volume.name(file)
        assert found is not None
        return found.inode

    def touched(self, file: FileId, generation: GenerationId, name: bytes, rev: str) -> None:
        """What is there has another rev, and the bytes that it had."""
        data = self.service.nodes[(name,)].data
        self._volume.catalog.commit(self._noting(name, data, {"far": rev})(file, generation))

    def lost(self, file: FileId) -> None:
        """The entry has nothing of it any more."""
        changes: Changes = {}
        self._placements.write(changes, removed=self._placements.of(file).values())
        self._volume.catalog.commit(changes)

    def _noting(self, name: bytes, data: bytes, revs: dict[str, str]) -> Callable[[FileId, GenerationId], Changes]:
        """What is to be committed with a change: that entries have that, and with which rev."""

        def also(file: FileId, generation: GenerationId) -> Changes:
            changes: Changes = {}
            copies = [
                Copy(
                    file=file, entry=EntryName(entry), kind=Kind.FILE, place=Place(ROOT_FILE, name),
                    generation=generation, size=len(data), mtime_ns=0, mode=0o644, rev=rev, found=True,
                )
                for entry, rev in revs.items()
            ]  # fmt: skip
            self._placements.write(changes, put=copies)
            return changes

        return also


def _unplaced(_: object) -> Any:
    raise AssertionError("nothing is placed here")


class Commands:
    """What a test may ask for. Paths are relative to the mount."""

    def __init__(self, operations: Planted, mount: mounting.Mount, far: Far) -> None:
        self.far = far
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

    async def came(self) -> None:
        await self.operations.came.wait()

    def tell_kernel(self, path: str) -> None:
        """Without waiting until it has heard."""
        self.mount.changed_outside(*self._at(path))

    def crash(self) -> None:
        raise RuntimeError("planted")

    async def vanish(self, path: str, tell: bool) -> None:
        parent, name = self._at(path)
        found = self.volume.dirent(parent, name)
        self.volume.unlink(parent, name)
        if found is not None:
            self.far.lost(found.file)
        if tell:
            self.mount.changed_outside(parent, name)
            await self.mount.told()

    def waiting(self) -> int:
        return self.operations.waiting

    def plant(self, path: str, text: str, times: int, spare: bool = False) -> int:
        """A file that is on one entry only, or on two. Its inode."""
        parent, name = self._at(path)
        inode = self.far.adopt(parent, name, text.encode() * times, spare=spare)
        self.mount.changed_outside(parent, name)
        return inode

    def edit_unseen(self, path: str, text: str) -> str:
        """A file is changed on the entry, and nobody here has noticed yet. Its rev."""
        return self.far.service.put((os.fsencode(path),), text.encode()).rev

    def delete_unseen(self, path: str) -> None:
        """A file is deleted on the entry, and nobody here has noticed yet; `vanish` is noticing it."""
        self.far.service.delete((os.fsencode(path),))

    async def doubted(self) -> None:
        """Wait until somebody found that the entry does not have what was known."""
        await self.far.doubted()

    def take_over(self, path: str, text: str, rev: str) -> int:
        """What edit_unseen did is noticed: of the bytes only the size is known here. The new inode."""
        parent, name = self._at(path)
        found = self.volume.dirent(parent, name)
        assert found is not None
        return self.far.replace(found.file, name, text.encode(), rev)

    def touch_unseen(self, path: str) -> None:
        """The file on the entry gets another rev, and nobody here knows yet."""
        name = os.fsencode(path)
        self.far.service.edit((name,), self.far.service.nodes[(name,)].data)

    def touched(self, path: str) -> None:
        """What touch_unseen did is noticed."""
        parent, name = self._at(path)
        found = self.volume.dirent(parent, name)
        assert found is not None
        rev = self.far.service.nodes[(name,)].rev
        self.far.touched(found.file, self.volume.peek(found.inode).generation, name, rev)

    async def edit(self, path: str, text: str, tell: bool) -> int:
        """A file is changed on the entry, of which nobody here knows the bytes yet. Its new inode."""
        number = self.take_over(path, text, self.edit_unseen(path, text))
        if tell:
            parent, name = self._at(path)
            self.mount.changed_outside(parent, name)
            await self.mount.told()
        return number

    def rescue(self, path: str) -> None:
        """What is saved to a file that was changed elsewhere meanwhile gets this name."""
        parent, name = self._at(path)

        def give(file: FileId, number: InodeNumber) -> None:
            self.volume.give_name(number, parent, name)
            self.mount.changed_outside(parent, name)

        self.volume.overtaken = give

    def stall(self) -> None:
        """From now on the entry does not answer."""
        self.far.service.reads_stall = trio.Event()

    def answer(self) -> None:
        """It does again."""
        if self.far.service.reads_stall is not None:
            self.far.service.reads_stall.set()

    def break_line(self) -> None:
        """From now on the entry fails in the middle of whatever is read from it."""
        self.far.service.read_fails_after = 1 << 16

    def readings(self, entry: str = "far") -> int:
        """How often the entry was asked for bytes."""
        return sum(what in ("get_chunk", "get_file") for what, _ in self.far.services[entry].calls)

    def given(self) -> int:
        """How many bytes the entry has given in pieces of 64 KiB."""
        calls = [what for what, _ in self.far.service.calls]
        return (calls.count("read") - calls.count("get_chunk") - calls.count("get_file")) << 16

    def absent(self, path: str) -> bool:
        """Whether the bytes of a file are on entries only."""
        return self.volume.resolve(b"/" + os.fsencode(path))[1].absent

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
    scanners = Scanners(options.pop("scanners", ()), options.pop("head", 0))
    xattr, stall_s = options.pop("xattr", False), options.pop("stall_s", 300.0)
    content = ContentStore(state / "content")
    catalog = Catalog.open(state / "catalog", content)
    try:
        volume = Volume(catalog, content, Space(state), owner=(os.getuid(), os.getgid()))
        volume.recover()
        operations = Planted(volume, xattr=xattr, scanners=scanners)
        async with trio.open_nursery() as nursery:
            await nursery.start(catalog.run)
            await nursery.start(volume.run)
            far = Far(volume, state, stall_s)
            await nursery.start(far.run)
            with mounting.mounted(operations, point, mounting.Options(**options)) as mount:

                async def obey() -> None:
                    await _obey(Commands(operations, mount, far))
                    await mount.unmount(force=True)

                nursery.start_soon(obey)
                await mount.serve(lambda: _say({"ready": os.getpid()}))
            nursery.cancel_scope.cancel()
    finally:
        catalog.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        trio.run(main, Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
    except* OnituError as trouble:
        _say({"trouble": [str(one) for one in trouble.exceptions]})
