"""Lives of a small volume that follows the rules on the real catalog and content store, and what must hold after each.

The driver below does what volume/ does, with three names in one directory. The oracle remembers every tree there has
been, every sealed generation's bytes, and what was fsynced; it looks at the outcome of each stop.
"""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import trio
import trio.testing

from onitufs.catalog import journal, keys, table
from onitufs.catalog.records import pack_dirent, pack_inode, unpack_dirent, unpack_inode
from onitufs.catalog.store import Catalog
from onitufs.content import files
from onitufs.content.files import ContentStore
from onitufs.model.files import Dirent, Inode, Kind
from onitufs.model.ids import ContentId, FileId, GenerationId, InodeNumber, Seq

from .simulated_disk import SimulatedDisk, Stopped
from .stepping import Stepper

ROOT = InodeNumber(1)
SEGMENT_BYTES = 16 << 10
Op = tuple[str, int, int]
Tree = dict[bytes, tuple[int, int, int]]  # name -> inode, content, generation


class Violation(AssertionError):
    """A promise was broken."""


class Rules:
    """How the driver and the code under test are set up: as they are. The planted bugs are subclasses."""

    catalog: type[Catalog] = Catalog
    content: type[ContentStore] = ContentStore
    wait_for_hot = True

    def boot_id(self, boot: int) -> str:
        return f"boot-{boot}"

    def patches(self) -> Iterator[Any]:
        """Context managers that are active during each life."""
        return iter(())


class World:
    """One state directory through several lives."""

    def __init__(self, directory: Path, seed: int, rules: Rules) -> None:
        self.random = Random(seed)
        self.rules = rules
        self.directory = directory
        self.boot = 0
        self.root = directory / "boot-0"
        self.disk: SimulatedDisk | None = None  # None: what is there now is all on disk
        for made in ("catalog/journal", "content"):
            (self.root / made).mkdir(parents=True)
        # The oracle. A gap in what is known since the last good start: was there a power cut, or only kills?
        self.history: list[tuple[int, Tree]] = [(0, {})]
        self.pending: Tree | None = None  # in a commit that was not answered
        self.writing = 0  # inode of a write that was not answered
        self.fsynced = 0
        self.was_cut = False
        self.sealed: dict[int, bytes] = {}
        self.bytes: dict[int, bytearray] = {}  # content id -> all that was written and answered

    # -- lives ------------------------------------------------------------------------------------------------------

    def live(self, ops: Sequence[Op], stop_after: int | None, cut: bool) -> None:
        """Start, check, carry out `ops`, stop (at the latest after so many changes of the disk), lose what is lost."""
        if self.disk is None:
            self.disk = SimulatedDisk(self.root, self.random)
        disk = self.disk
        disk.start(stop_after)
        with contextlib.ExitStack() as stack:
            for module in (journal, files):
                stack.enter_context(mock.patch.object(module, "os", disk))
            stack.enter_context(mock.patch.object(files, "_syncfs", disk.syncfs))
            stack.enter_context(mock.patch.object(table.Table, "fold", self._folding(disk, table.Table.fold)))
            for patch in self.rules.patches():
                stack.enter_context(patch)
            trio.run(_Life(self, disk).run, ops)
        disk.forget_descriptors()
        if cut:
            self.was_cut = True
            self.boot += 1
            survivor = self.directory / f"boot-{self.boot}"
            survivor.mkdir()
            disk.survive(survivor)
            shutil.rmtree(self.root)
            self.root = survivor
            self.disk = None

    def _folding(self, disk: SimulatedDisk, fold: Any) -> Any:

        def watched(self: table.Table, changes: Any, folded_seq: int) -> None:
            disk.instant()
            fold(self, changes, folded_seq)
            disk.committed(disk.root / "catalog" / "data.mdb")
            disk.instant()

        return watched

    # -- what must hold ---------------------------------------------------------------------------------------------

    def check(self, catalog: Catalog, found: Tree) -> None:
        """The tree that a start found is one it may find, and so are its bytes."""
        answered = [tree for seq, tree in self.history if seq >= self.fsynced]
        allowed = answered if self.was_cut else answered[-1:]
        if self.pending is not None:
            allowed = [*allowed, self.pending]
        if found not in allowed:
            what = "a power cut" if self.was_cut else "a kill"
            raise Violation(f"after {what}, the tree is {found}, not one of {allowed}")
        for name, (inode, content, generation) in found.items():
            path = self.root / "content" / f"{content >> files.SHARD_BITS:x}" / f"{content:x}"
            if not path.exists():
                raise Violation(f"{name!r} is there, its bytes are not")
            if self.was_cut:
                hot = inode in catalog.recovered_hot
                if generation and not hot and path.read_bytes() != self.sealed[generation]:
                    raise Violation(f"{name!r} differs from its sealed generation and is not known to be hot")
            elif inode != self.writing and path.read_bytes() != self.bytes[content]:
                raise Violation(f"{name!r} lost written bytes without a power cut")

    def accept(self, catalog: Catalog, found: Tree) -> None:
        """From here on `found` is what is so, and it is on disk."""
        self.history = [(catalog.durable_seq, found)]
        self.fsynced = catalog.durable_seq
        self.pending, self.writing, self.was_cut = None, 0, False
        for _, content, _ in found.values():
            path = self.root / "content" / f"{content >> files.SHARD_BITS:x}" / f"{content:x}"
            self.bytes[content] = bytearray(path.read_bytes())


class _Life:
    """From one start to one stop."""

    def __init__(self, world: World, disk: SimulatedDisk) -> None:
        self.world = world
        self.disk = disk
        self.stepper = Stepper(disk)
        self.tree: Tree = {}
        self.open: dict[int, int] = {}  # inode -> descriptor
        self.dirty: set[int] = set()
        self.hot: dict[int, int] = {}  # inode -> seq of its mark
        self.catalog: Catalog
        self.content: ContentStore
        self.nursery: trio.Nursery

    async def run(self, ops: Sequence[Op]) -> None:
        world = self.world
        try:
            self.content = world.rules.content(world.root / "content")
            self.catalog = world.rules.catalog.open(
                world.root / "catalog",
                self.content,
                boot_id=world.rules.boot_id(world.boot),
                in_thread=self.stepper.in_thread,
                segment_bytes=SEGMENT_BYTES,
            )
        except Stopped:
            return
        # A thread that rests inside the journal's lock would stop the script for ever.
        self.stepper.restless = self.catalog._journal._lock.locked
        try:
            self.begin()
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

    def begin(self) -> None:
        """What follows a start: the check, then sealing anew what is hot or was never sealed, and the scan."""
        world = self.world
        for key, value in self.catalog.scan(keys.dirents(ROOT)):
            number = unpack_dirent(value).inode
            record = self.catalog.get(keys.inode(number))
            if record is None:
                raise Violation(f"{key!r} names an inode that is not there")
            inode = unpack_inode(record)
            self.tree[key[9:]] = (number, inode.content, inode.generation)
        world.check(self.catalog, self.tree)
        world.accept(self.catalog, self.tree)
        named = {content for _, content, _ in self.tree.values()}
        for content in self.content.ids():
            if content not in named:
                self.content.let_go(content, self.catalog.durable_seq)
        there = {number for number, _, _ in self.tree.values()}
        for number in self.catalog.recovered_hot:
            if number in there:
                self.hot[number] = self.catalog.durable_seq
            else:
                self.commit({keys.hot(number): None}, self.tree)
        for name, (number, _, generation) in self.tree.items():
            if number in self.hot or not generation:
                self.dirty.add(number)
                self.seal(name)

    # -- the driver ---------------------------------------------------------------------------------------------------

    def act(self, what: str, x: int, y: int) -> None:
        name = b"abc"[x % 3 : x % 3 + 1]
        there = name in self.tree
        if what == "step":
            for _ in range(y + 1):
                self.stepper.step(x)
        elif what == "steps":
            for _ in range(30):
                self.stepper.step(x)
        elif what in ("barrier", "fold", "collect"):
            self.spawn(getattr(self, what))
        elif what == "create":
            if not there:
                self.create(name)
        elif there:
            getattr(self, what)(name, y)

    def spawn(self, function: Any, *args: Any) -> None:
        async def guarded() -> None:
            with contextlib.suppress(Stopped):
                await function(*args)

        self.nursery.start_soon(guarded)

    def commit(self, changes: dict[bytes, bytes | None], tree: Tree, *, hot: bool = False) -> Seq:
        world = self.world
        world.pending = dict(tree)
        seq = self.catalog.commit(changes, hot=hot)
        world.pending = None
        world.history.append((seq, dict(tree)))
        self.tree = tree
        return seq

    def inode(self, number: int, content: int, generation: int) -> bytes:
        return pack_inode(
            Inode(
                number=InodeNumber(number), mode=0o100644, uid=0, gid=0, nlink=1,
                content=ContentId(content), generation=GenerationId(generation),
            )
        )  # fmt: skip

    def create(self, name: bytes) -> None:
        number = self.catalog.next_seq
        self.open[number] = self.content.create(ContentId(number))
        self.world.bytes[number] = bytearray()
        self.commit(
            {
                keys.dirent(ROOT, name): pack_dirent(Dirent(InodeNumber(number), FileId(number), Kind.FILE)),
                keys.inode(InodeNumber(number)): self.inode(number, number, 0),
            },
            {**self.tree, name: (number, number, 0)},
        )
        self.dirty.add(number)

    def open_again(self, name: bytes, _: int) -> None:
        number, content, generation = self.tree[name]
        if number not in self.open:
            self.open[number] = self.content.open(ContentId(content))
        if generation and number not in self.hot:
            mark = {keys.hot(InodeNumber(number)): content.to_bytes(8, "big")}
            seq = self.hot[number] = self.commit(mark, self.tree, hot=True)
            self.spawn(self.catalog.sync_journal, seq)

    def open_truncating(self, name: bytes, _: int) -> None:
        number, old, _ = self.tree[name]
        self.shut(number)
        content = self.catalog.next_seq
        self.open[number] = self.content.create(ContentId(content))
        self.world.bytes[content] = bytearray()
        seq = self.commit(
            {keys.inode(InodeNumber(number)): self.inode(number, content, 0)},
            {**self.tree, name: (number, content, 0)},
        )
        self.content.let_go(ContentId(old), seq)
        self.dirty.add(number)

    def _may_change(self, name: bytes) -> bool:
        """D2: is there no sealed generation under these bytes, or a mark on disk that says that there is none now?"""
        number, _, generation = self.tree[name]
        if number not in self.open:
            return False
        if not generation or not self.world.rules.wait_for_hot:
            return True
        return number in self.hot and self.catalog.journal_durable(Seq(self.hot[number]))

    def write(self, name: bytes, y: int) -> None:
        if self._may_change(name):
            number, content, _ = self.tree[name]
            offset, data = 40 * (y % 3), bytes([self.world.random.randrange(1, 256)]) * (30 + 60 * y)
            self.world.writing = number
            self.disk.pwrite(self.open[number], data, offset)
            now = self.world.bytes[content]
            now.extend(bytes(max(0, offset - len(now))))
            now[offset : offset + len(data)] = data
            self.world.writing = 0
            self.dirty.add(number)

    def cut_off(self, name: bytes, y: int) -> None:
        if self._may_change(name):
            number, content, _ = self.tree[name]
            now = self.world.bytes[content]
            size = min(len(now), 50 * y)
            self.world.writing = number
            self.disk.ftruncate(self.open[number], size)
            del now[size:]
            self.world.writing = 0
            self.dirty.add(number)

    def seal(self, name: bytes, _: int = 0) -> Seq:
        number, content, _ = self.tree[name]
        if number not in self.dirty:
            return Seq(self.catalog.next_seq - 1)
        generation = self.catalog.next_seq
        data = bytes(self.world.bytes[content])
        self.world.sealed[generation] = data
        seq = self.commit(
            {keys.inode(InodeNumber(number)): self.inode(number, content, generation)},
            {**self.tree, name: (number, content, generation)},
        )
        self.content.sealed(ContentId(content), seq, len(data))
        self.dirty.discard(number)
        return seq

    def close(self, name: bytes, _: int) -> None:
        self.seal(name)
        self.shut(self.tree[name][0])

    def shut(self, number: int) -> None:
        fd = self.open.pop(number, None)
        if fd is not None:
            self.disk.close(fd)

    def cool(self, name: bytes, _: int) -> None:
        number = self.tree[name][0]
        if number in self.hot and number not in self.open and number not in self.dirty:
            self.commit({keys.hot(InodeNumber(number)): None}, self.tree)
            del self.hot[number]

    def _leave(self, name: bytes, changes: dict[bytes, bytes | None]) -> tuple[int, int]:
        number, content, _ = self.tree[name]
        changes[keys.inode(InodeNumber(number))] = None
        changes[keys.hot(InodeNumber(number))] = None
        self.shut(number)
        self.hot.pop(number, None)
        self.dirty.discard(number)
        return number, content

    def unlink(self, name: bytes, _: int) -> None:
        changes: dict[bytes, bytes | None] = {keys.dirent(ROOT, name): None}
        _, content = self._leave(name, changes)
        seq = self.commit(changes, {n: v for n, v in self.tree.items() if n != name})
        self.content.let_go(ContentId(content), seq)

    def rename(self, name: bytes, y: int) -> None:
        target = b"abc"[y % 3 : y % 3 + 1]
        if target == name:
            return
        number = self.tree[name][0]
        moved = pack_dirent(Dirent(InodeNumber(number), FileId(number), Kind.FILE))
        changes: dict[bytes, bytes | None] = {keys.dirent(ROOT, name): None, keys.dirent(ROOT, target): moved}
        replaced = self._leave(target, changes)[1] if target in self.tree else None
        tree = {n: v for n, v in self.tree.items() if n != name}
        tree[target] = self.tree[name]
        seq = self.commit(changes, tree)
        if replaced is not None:
            self.content.let_go(ContentId(replaced), seq)

    def fsync(self, name: bytes, _: int) -> None:
        self.spawn(self._barrier, self.seal(name))

    async def _barrier(self, seq: Seq) -> None:
        await self.catalog.barrier(seq)
        self.world.fsynced = max(self.world.fsynced, seq)

    async def barrier(self) -> None:
        await self._barrier(Seq(self.catalog.next_seq - 1))

    async def fold(self) -> None:
        await self.catalog.fold()

    async def collect(self) -> None:
        await self.catalog.collect()


def play(directory: Path, lives: Sequence[tuple[Sequence[Op], int | None, bool]], seed: int, rules: Rules) -> None:
    """Raises Violation if a promise is broken."""
    world = World(directory, seed, rules)
    for ops, stop_after, cut in lives:
        world.live(ops, stop_after, cut)
    world.live((), None, cut=False)
