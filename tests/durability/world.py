"""Lives of a real volume on a disk that forgets, and what must hold after each.

The oracle watches every commit: it knows all trees there have been and the bytes under every sealed generation, and is
told what was fsynced. It looks at what each start finds.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import trio
import trio.testing

from onitufs.catalog import journal, keys, table
from onitufs.catalog.records import unpack_dirent, unpack_inode, unpack_version
from onitufs.catalog.store import Catalog
from onitufs.content import files, side
from onitufs.content.files import ContentStore
from onitufs.model import errors
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_INODE, FileId, GenerationId, InodeNumber, Seq
from onitufs.volume import Volume, absence, restoring
from onitufs.volume import volume as volume_module
from onitufs.volume.opened import Handle
from onitufs.volume.space import Space
from onitufs.volume.tree import Changes

from .simulated_disk import SimulatedDisk, Stopped
from .stepping import SteppedLock, Stepper

SEGMENT_BYTES = 16 << 10
NAMES = (b"a", b"b", b"c")
Op = tuple[str, int, int]
Tree = dict[bytes, tuple[int, int, int]]  # name, or key of a version -> inode (0), content, generation


class Violation(AssertionError):
    """A promise was broken."""


class Rules:
    """What is tested, as it is. The planted bugs are subclasses."""

    catalog: type[Catalog] = Catalog
    content: type[ContentStore] = ContentStore
    volume: type[Volume] = Volume

    def boot_id(self, boot: int) -> str:
        return f"boot-{boot}"

    def patches(self) -> Iterator[Any]:
        """Context managers that are active during each life."""
        return iter(())


class Oracle:
    """What has been, and what a start may find."""

    def __init__(self) -> None:
        self.content = Path()
        self._now: dict[bytes, bytes] = {}  # directory entries and inodes
        self.history: list[tuple[int, Tree]] = [(0, {})]
        self._pending: Tree | None = None  # in a commit that was not answered
        self.fsynced = 0
        self.was_cut = False  # since the last good start
        self.sealed: dict[int, bytes] = {}
        self._sealed_in: dict[int, int] = {}  # generation -> content; one that was emptied since has another
        self.broken = ""  # found in the middle of a call, from where nothing may be raised
        self._left: dict[int, bytes] = {}  # content id -> bytes when the last life ended

    def path(self, content: int) -> Path:
        return self.content / f"{content >> files.SHARD_BITS:x}" / f"{content:x}"

    # -- told by the watched catalog and by the driver --

    def committing(self, changes: Mapping[bytes, bytes | None]) -> None:
        after = dict(self._now)
        for key, value in changes.items():
            if key[:1] in (keys.DIRENT, keys.INODE, keys.HISTORY):
                if value is None:
                    after.pop(key, None)
                else:
                    after[key] = value
        self._after = after
        self._pending = self._tree(after)
        self._nothing_forgotten(changes, self.history[-1][1], self._pending)
        for _, content, generation in self._pending.values():
            if content and generation and generation not in self.sealed:
                self.sealed[generation] = self.path(content).read_bytes()
                self._sealed_in[generation] = content

    def committed(self, seq: int) -> None:
        assert self._pending is not None
        self.history.append((seq, self._pending))
        self._now, self._pending = self._after, None

    def stopped(self) -> None:
        """The life is over."""
        if self.broken:
            raise Violation(self.broken)
        if self.was_cut:
            return  # it was over before it had found out what the power cut left
        contents = {c for tree in (self.history[-1][1], self._pending or {}) for _, c, _ in tree.values()}
        self._left = {c: self.path(c).read_bytes() for c in contents if self.path(c).exists()}

    def _tree(self, rows: Mapping[bytes, bytes]) -> Tree:
        prefix = keys.dirents(ROOT_INODE)
        tree: Tree = {}
        for key, value in rows.items():
            if key.startswith(prefix):
                record = rows.get(keys.inode(unpack_dirent(value).inode))
                if record is None:
                    raise Violation(f"{key!r} names an inode that is not there")
                inode = unpack_inode(record)
                tree[key[len(prefix) :]] = (inode.number, inode.content, inode.generation)
            elif key.startswith(keys.HISTORY):
                tree[key] = (0, keys.number(key, 10), unpack_version(value).generation)
        return tree

    def _nothing_forgotten(self, changes: Mapping[bytes, bytes | None], before: Tree, after: Tree) -> None:
        """Sealed bytes that lose their name are history's by the same record, and have one owner."""
        owners = [(number, content) for number, content, _ in after.values()]
        contents = [content for _, content in dict.fromkeys(owners) if content]  # 0: the bytes are elsewhere
        if len(contents) != len(set(contents)):
            self.broken = "two own the same bytes"
        for name, (number, content, generation) in before.items():
            sealed = self._sealed_in.get(generation) == content and self.sealed[generation]
            if number and content and content not in contents and sealed:
                self.broken = f"{name!r} lost its bytes, and history does not have them"

    # -- what must hold --

    def started(self, catalog: Catalog) -> None:
        """The tree that a start finds is one that it may find. From here on that one is so, and it is on disk."""
        found = dict(catalog.scan(keys.dirents(ROOT_INODE))) | dict(catalog.scan(keys.INODE))
        found |= dict(catalog.scan(keys.HISTORY))
        tree = self._tree(found)
        answered = [tree for seq, tree in self.history if seq >= self.fsynced]
        allowed = answered if self.was_cut else answered[-1:]
        if self._pending is not None:
            allowed = [*allowed, self._pending]
        if tree not in allowed:
            what = "a power cut" if self.was_cut else "a kill"
            raise Violation(f"after {what}, the tree is {tree}, not one of {allowed}")
        for name, (_, content, _) in tree.items():
            # (After a power cut one that was never sealed may be missing: recovery makes it anew, see `recovered`.)
            if content and not self.was_cut and self._bytes(name, content) != self._left[content]:
                raise Violation(f"{name!r} lost written bytes without a power cut")
        self._now, self._pending = found, None
        self.history = [(catalog.durable_seq, tree)]
        self.fsynced = catalog.durable_seq
        self.was_cut = False

    def recovered(self) -> None:
        """Hot and never sealed files have been sealed as they are: now all bytes are those of their generation."""
        for name, (number, content, generation) in self.history[-1][1].items():
            if not number and not generation:  # it was being written to when it ended
                self._bytes(name, content)
                continue
            if not content and generation:
                continue  # absent
            if generation not in self.sealed:
                raise Violation(f"{name!r} was never sealed, and recovery did not see to it")
            if self._bytes(name, content) != self.sealed[generation]:
                raise Violation(f"the bytes of {name!r} differ from its sealed generation")

    def _bytes(self, name: bytes, content: int) -> bytes:
        try:
            return self.path(content).read_bytes()
        except FileNotFoundError:
            raise Violation(f"{name!r} is there, its bytes are not") from None


class World:
    """One state directory through several lives."""

    def __init__(self, directory: Path, seed: int, rules: Rules) -> None:
        self.random = Random(seed)
        self.rules = rules
        self.oracle = Oracle()
        self.boot = 0
        self._directory = directory
        self.root = directory / "boot-0"
        self._disk: SimulatedDisk | None = None  # None: what is there now is all on disk
        for made in ("catalog/journal", "content"):
            (self.root / made).mkdir(parents=True)

    def live(self, ops: Sequence[Op], stop_after: int | None, cut: bool) -> None:
        """Start, check, carry out `ops`, stop (at the latest after so many changes of the disk), lose what is lost."""
        if self._disk is None:
            self._disk = SimulatedDisk(self.root, self.random)
        disk = self._disk
        disk.start(stop_after)
        self.oracle.content = self.root / "content"
        with contextlib.ExitStack() as stack:
            for module in (journal, files, side, volume_module, restoring, absence):
                stack.enter_context(mock.patch.object(module, "os", disk))
            stack.enter_context(mock.patch.object(files, "_syncfs", disk.syncfs))
            stack.enter_context(mock.patch.object(table.Table, "fold", _folding(disk, table.Table.fold)))
            # The files are few and small here: what decides by number and size decides by chance.
            one_by_one = self.random.choice((files.SYNC_ONE_BY_ONE, -1))
            stack.enter_context(mock.patch.object(files, "SYNC_ONE_BY_ONE", one_by_one))
            carry = self.random.choice((files.CARRY_BYTES, files.CARRY_BYTES, 150, -1))
            stack.enter_context(mock.patch.object(files, "CARRY_BYTES", carry))
            for patch in self.rules.patches():
                stack.enter_context(patch)
            trio.run(_Life(self, disk).run, ops)
        disk.forget_descriptors()
        self.oracle.stopped()
        # A new process cannot know of pages that were lost in the time of another; that needs a working disk first.
        if cut or disk.has_lost:
            self.oracle.was_cut = True
            self.boot += 1
            survivor = self._directory / f"boot-{self.boot}"
            survivor.mkdir()
            disk.survive(survivor)
            shutil.rmtree(self.root)
            self.root = survivor
            self._disk = None


def _folding(disk: SimulatedDisk, fold: Any) -> Any:
    def watched(self: table.Table, changes: Any, folded_seq: int) -> None:
        disk.instant()
        fold(self, changes, folded_seq)
        disk.committed(disk.root / "catalog" / "data.mdb")
        disk.instant()

    return watched


def _watched(catalog: type[Catalog], oracle: Oracle) -> type[Catalog]:
    class Watched(catalog):  # type: ignore[valid-type,misc]
        def commit(self, changes: Mapping[bytes, bytes | None], *, hot: bool = False) -> Seq:
            oracle.committing(changes)
            seq: Seq = super().commit(changes, hot=hot)
            oracle.committed(seq)
            return seq

    return Watched


def _nothing_else(file: FileId, generation: GenerationId) -> Changes:
    return {}


class _Life:
    """From one start to one stop."""

    def __init__(self, world: World, disk: SimulatedDisk) -> None:
        self.world = world
        self.disk = disk
        self.stepper = Stepper(disk)
        self.handles: dict[int, Handle] = {}  # inode -> a handle that is open for writing
        self.catalog: Catalog
        self.volume: Volume
        self.nursery: trio.Nursery

    async def run(self, ops: Sequence[Op]) -> None:
        world, rules = self.world, self.world.rules
        try:
            content = rules.content(world.root / "content")
            self.catalog = _watched(rules.catalog, world.oracle).open(
                world.root / "catalog",
                content,
                boot_id=rules.boot_id(world.boot),
                in_thread=self.stepper.in_thread,
                segment_bytes=SEGMENT_BYTES,
            )
        except Stopped:
            return
        # A thread that rests inside the journal's lock would stop the script for ever.
        self.stepper.restless = self.catalog._journal._lock.locked
        self.catalog._journal._syncing = SteppedLock(self.stepper)  # type: ignore[assignment]
        try:
            world.oracle.started(self.catalog)
            self.volume = rules.volume(self.catalog, content, Space(world.root, reserve=0), owner=(0, 0))
            self.volume.recover()
            world.oracle.recovered()
            await self.go_on(ops)
        except Stopped:
            pass
        finally:
            self.catalog._table.close()
            assert self.catalog._lock is not None
            self.catalog._lock.release()

    async def go_on(self, ops: Sequence[Op]) -> None:
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            with contextlib.suppress(Stopped):
                for op in ops:
                    self.act(*op)
                    await trio.testing.wait_all_tasks_blocked()
                    if self.disk.stopped:
                        break
            self.disk.stop()
            self.stepper.end()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    # -- what programs and the daemon do --

    def act(self, what: str, x: int, y: int) -> None:
        name = NAMES[x]
        if what == "step":
            for _ in range(y + 1):
                self.stepper.step(x)
        elif what == "steps":
            for _ in range(30):
                self.stepper.step(x)
        elif what == "lose_pages":
            self.disk.lose_pages()
        elif what == "barrier":
            self.spawn(self.barrier)
        elif what in ("fold", "collect"):
            self.spawn(getattr(self.catalog, what))
        elif what == "expire":
            self.volume.expire(free=1, limit=1 + y)
        elif what == "restore":
            for kept in self.volume.history.scan(brief=bool(y % 2), limit=1):
                try:
                    self.volume.restore(kept, ROOT_INODE, name)
                except errors.NoEntry:
                    self.world.oracle.broken = "history has lost its bytes"
        elif what == "cool":
            self.volume.tick(time.monotonic() + 1000)
        elif what == "create":
            if self.volume.lookup(ROOT_INODE, name) is None:
                inode, handle = self.volume.create(ROOT_INODE, name, 0o644, 0, 0)
                self.handles[inode.number] = handle
        elif what == "adopt":
            if self.volume.dirent(ROOT_INODE, name) is None:
                size = 30 + 60 * y
                self.volume.adopt(ROOT_INODE, name, Kind.FILE, size=size, mtime_ns=1, mode=0o644, also=_nothing_else)
        else:
            inode_ = self.volume.lookup(ROOT_INODE, name)
            if inode_ is not None:
                getattr(self, what)(inode_.number, name, y)

    def spawn(self, function: Any, *args: Any) -> None:
        async def guarded() -> None:
            with contextlib.suppress(Stopped, OSError, errors.ServiceError):
                await function(*args)

        self.nursery.start_soon(guarded)

    def open_again(self, number: InodeNumber, name: bytes, y: int) -> None:
        if number not in self.handles:
            handle = self.handles[number] = self.volume.open(number, write=True)
            if not self.volume.settled_for_write(handle):
                self.spawn(self.volume.make_writable, handle)

    def open_truncating(self, number: InodeNumber, name: bytes, y: int) -> None:
        self.close(number, name, y)
        self.handles[number] = self.volume.open(number, write=True, truncate=True)

    def write(self, number: InodeNumber, name: bytes, y: int) -> None:
        handle = self.handles.get(number)
        if handle is not None and self.volume.settled_for_write(handle):
            self.volume.write(handle, 40 * (y % 3), bytes([self.world.random.randrange(1, 256)]) * (30 + 60 * y))

    def cut_off(self, number: InodeNumber, name: bytes, y: int) -> None:
        self.spawn(self.volume.truncate, number, 50 * y)

    def seal(self, number: InodeNumber, name: bytes, y: int) -> None:
        handle = self.handles.get(number)
        if handle is not None:
            self.volume.flush(handle)

    def close(self, number: InodeNumber, name: bytes, y: int) -> None:
        handle = self.handles.pop(number, None)
        if handle is not None:
            self.volume.flush(handle)
            self.volume.release(handle)

    def change(self, number: InodeNumber, name: bytes, y: int) -> None:
        """Somebody changes it on an entry."""
        file = self.volume.inode(number).files[0]
        self.volume.replace_content(file, size=30 + 60 * y, mtime_ns=1, mode=0o644, also=_nothing_else)

    def fetch(self, number: InodeNumber, name: bytes, y: int) -> None:
        """Its bytes come from an entry, if they are not here. Amount 3: not all of them."""
        inode = self.volume.inode(number)
        if not inode.absent:
            return
        content, fd = self.volume.begin_fetch()
        data = bytes([1 + inode.generation % 255]) * inode.size
        self.disk.pwrite(fd, data[:10], 0)
        if y < 3:
            self.disk.pwrite(fd, data[10:], 10)
        self.disk.close(fd)
        if y < 3:
            self.volume.arrived(number, inode.generation, content)

    def unlink(self, number: InodeNumber, name: bytes, y: int) -> None:
        self.volume.unlink(ROOT_INODE, name)

    def rename(self, number: InodeNumber, name: bytes, y: int) -> None:
        self.volume.rename(ROOT_INODE, name, ROOT_INODE, NAMES[y % 3])

    def link(self, number: InodeNumber, name: bytes, y: int) -> None:
        with contextlib.suppress(errors.Exists):
            self.volume.link(number, ROOT_INODE, NAMES[y % 3])

    def fsync(self, number: InodeNumber, name: bytes, y: int) -> None:
        self.seal(number, name, y)
        self.spawn(self._fsync, number, Seq(self.catalog.next_seq - 1))

    async def _fsync(self, number: InodeNumber, seq: Seq) -> None:
        await self.volume.sync(number)
        self.world.oracle.fsynced = max(self.world.oracle.fsynced, seq)

    async def barrier(self) -> None:
        seq = Seq(self.catalog.next_seq - 1)
        await self.catalog.barrier(seq)
        self.world.oracle.fsynced = max(self.world.oracle.fsynced, seq)


def play(directory: Path, lives: Sequence[tuple[Sequence[Op], int | None, bool]], seed: int, rules: Rules) -> None:
    """Raises Violation if a promise is broken."""
    world = World(directory, seed, rules)
    for ops, stop_after, cut in lives:
        world.live(ops, stop_after, cut)
    world.live((), None, cut=False)
