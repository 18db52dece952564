"""The bytes: open files, sealing, and what a crash leaves. The rules D1-D9 are in docs/durability.md."""

import logging
import os
import stat
import time
from collections.abc import Callable, Iterable

import trio

from onitufs.catalog import keys
from onitufs.catalog.records import pack_inode
from onitufs.catalog.store import Catalog
from onitufs.content.early import EARLY_BYTES, EarlyWriting
from onitufs.content.files import ContentStore
from onitufs.content.usage import cost
from onitufs.model import errors
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import ContentId, FileId, GenerationId, InodeNumber, Seq
from onitufs.model.source import Source
from onitufs.model.versions import TRUNCATED

from . import clock
from .absence import UNDURABLE_BYTES, Far, Nowhere
from .evicting import Evicting
from .opened import Handle, HotMark, OpenFile, OpenHandle, Pinned
from .restoring import Restoring
from .space import Room, Space
from .tree import Changes

QUIET_S = 2.0  # a late write is sealed after this long without another
LONGEST_S = 60.0  # a file written without pause is sealed at least this often
HOT_KEPT_S = 30.0

log = logging.getLogger(__name__)


class Volume(Evicting, Restoring):
    """A Tree whose files have bytes. Plain methods never wait; the async ones say what they wait for."""

    def __init__(
        self,
        catalog: Catalog,
        content: ContentStore,
        space: Space,
        *,
        owner: tuple[int, int],
        now_ns: Callable[[], int] = clock.now_ns,
    ) -> None:
        super().__init__(catalog, owner=owner, now_ns=now_ns)
        self.content = content
        self.early = EarlyWriting(content.open)
        self.owner = owner
        self.space = space
        self.overtaken: Callable[[FileId, InodeNumber], None] = lambda file, number: None
        self.far: Far = Nowhere()
        self._arrived = {}
        self._restored = {}
        self._used_s = {}
        space.used = self._used
        self._open: dict[InodeNumber, OpenFile] = {}
        self.handles: dict[Handle, OpenHandle] = {}
        self._next_handle = 1
        self._hot: dict[InodeNumber, HotMark] = {}
        self._pinned: dict[InodeNumber, Pinned] = {}
        self._forgotten: set[InodeNumber] = set()  # by the kernel, while open
        self._overtaken: dict[InodeNumber, FileId] = {}  # open, and without a name since bytes came from elsewhere

    # -- opening ---------------------------------------------------------------------------------------------------

    def make_node(self, parent: InodeNumber, name: bytes, mode: int, uid: int, gid: int, rdev: int = 0) -> Inode:
        """mknod(2) of any type; a regular file is empty and sealed at once. Raises as make_directory; NoSpace."""
        if not stat.S_ISREG(mode):
            return self.make_special(parent, name, mode, uid, gid, rdev)
        inode, handle = self.create(parent, name, mode, uid, gid)
        self.release(handle)
        return inode

    def create(self, parent: InodeNumber, name: bytes, mode: int, uid: int, gid: int) -> tuple[Inode, Handle]:
        """A new regular file, open for writing. Raises Exists, NoEntry, NotDirectory, NameTooLong, NoSpace."""
        self.space.need()
        above = self._new_name(parent, name)
        content = ContentId(self.catalog.next_seq)
        fd = self.content.create(content)
        changes: Changes = {}
        try:
            inode = self._add(
                changes, above, name, stat.S_IFREG | stat.S_IMODE(mode), uid, gid, content=content
            )  # fmt: skip
            changes[keys.hot(inode.number)] = content.to_bytes(8, "big")
            self._commit(changes, inode, above)
        except BaseException:
            os.close(fd)
            raise
        self._live[inode.number] = inode
        file = OpenFile(inode, fd, dirty=True, dirty_since_s=time.monotonic())
        self._open[inode.number] = file
        return inode, self._handle(file, writable=True)

    def open(self, number: InodeNumber, *, write: bool, truncate: bool = False) -> Handle:
        """open(2) of a regular file. O_TRUNC is a new content file, so that sealed bytes stay as they are.

        If the bytes are absent, read() may be called only once is_here() says so. Raises NoInode, IsDirectory, NoSpace
        (to write), OSError.
        """
        file = self._open.get(number)
        if file is None:
            inode = self.inode(number)
            if inode.kind is not Kind.FILE:
                raise errors.IsDirectory("not a regular file") if inode.kind is Kind.DIRECTORY else errors.Invalid()
            if inode.nlink == 0:
                raise errors.NoInode(f"inode {number} was removed")
            if write and not truncate:
                self.space.need()
            file = OpenFile(inode, -1 if inode.absent else self.content.open(inode.content))
            file.frozen = self._is_frozen(inode)
            self._open[number] = file
        if truncate:
            try:
                self._empty(file)
            except BaseException:
                if not file.handles:
                    self._close(file)
                raise
        return self._handle(file, writable=write)

    def _handle(self, file: OpenFile, *, writable: bool) -> Handle:
        handle = Handle(self._next_handle)
        self._next_handle += 1
        file.handles += 1
        through = False
        if writable:
            through = self.space.tight
            file.late |= not through
            file.writers += 1
            file.flushed = False
            mark = self._hot.get(file.inode.number)
            if mark is not None:
                mark.left_s = None
        self.handles[handle] = OpenHandle(file, writable, through)
        return handle

    def _is_open(self, number: InodeNumber) -> bool:
        return number in self._open

    def _overtake(self, number: InodeNumber, file: FileId) -> None:
        self._overtaken[number] = file

    def is_overtaken(self, number: InodeNumber) -> bool:
        """Whether this inode has lost its last name to other bytes while programs hold it open."""
        return number in self._overtaken

    def is_hot(self, number: InodeNumber) -> bool:
        return self.catalog.get(keys.hot(number)) is not None

    def _is_being_written(self, number: InodeNumber) -> bool:
        file = self._open.get(number)
        return file is not None and (file.dirty or file.writers > 0)

    def _open_orphans(self) -> dict[ContentId, Inode]:
        return {file.inode.content: file.inode for file in self._open.values() if not file.inode.files}

    def _opened(self, number: InodeNumber) -> OpenFile | None:
        return self._open.get(number)

    def forget(self, number: InodeNumber) -> None:
        if number in self._open:
            self._forgotten.add(number)
        else:
            self._live.pop(number, None)

    def _is_frozen(self, inode: Inode) -> bool:
        mark = self._hot.get(inode.number)
        return inode.generation != 0 and (mark is None or mark.content != inode.content)

    # -- reading and writing -----------------------------------------------------------------------------------------

    def is_here(self, handle: Handle) -> bool:
        """Whether the file can be read by read(), else by read_absent()."""
        return self.handles[handle].file.fd >= 0

    def read(self, handle: Handle, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end of the file. Raises OSError."""
        return os.pread(self.handles[handle].file.fd, length, offset)

    async def read_absent(self, handle: Handle, offset: int, length: int) -> bytes:
        """The same, of a file whose bytes may not be here; they are fetched. Raises as Far.read."""
        file = self.handles[handle].file
        while file.fd < 0:
            data = await self.far.read(file.inode.number, offset, length)
            if data is not None:
                return data
        return os.pread(file.fd, length, offset)

    def settled_for_write(self, handle: Handle) -> bool:
        """Whether write() may be called now; else await make_writable() first (rule D2)."""
        return not self.handles[handle].file.frozen

    async def make_writable(self, handle: Handle) -> None:
        """Wait until all bytes are here, and the file's hot mark is on disk. Raises as Far.fetch_all, and OSError."""
        file = self.handles[handle].file
        await self._bring(file.inode)
        await self._thaw(file)

    async def _thaw(self, file: OpenFile) -> None:
        inode = file.inode
        while file.frozen:
            content = inode.content
            seq = self.catalog.commit({keys.hot(inode.number): content.to_bytes(8, "big")}, hot=True)
            await self.catalog.sync_journal(seq)
            restored = self._restored.get(inode.number)
            if restored is not None:  # until that record counts the bytes are another's, whom the mark does not name
                await self.catalog.barrier(restored)
                self._restored.pop(inode.number, None)
            if inode.content == content and file.frozen:
                self._hot[inode.number] = HotMark(content, None if file.writers else time.monotonic())
                file.frozen = False

    def write(self, handle: Handle, offset: int, data: bytes) -> int:
        """Write all of `data`. The file must be settled for writing. Raises NoSpace, OSError; if programs may have been
        told already that these bytes are written, that marks the file incomplete."""
        file = self.handles[handle].file
        inode = file.inode
        if offset + len(data) > inode.blocks << 9:  # beyond what is known to be allocated
            self._need_room(file, offset, len(data))
        if not file.dirty:
            self._begin_dirty(file)
        for reader in self.content.readers(inode.content):
            reader.save_before(offset, len(data))
        try:
            done = os.pwrite(file.fd, data, offset)
            while done < len(data):
                done += os.pwrite(file.fd, data[done:], offset + done)
        except OSError:
            self._mark_incomplete(inode)
            raise
        inode.size = max(inode.size, offset + done)
        inode.mtime_ns = inode.ctime_ns = self.now_ns()
        file.written_s = time.monotonic()
        file.written += done
        if file.written >= EARLY_BYTES:
            file.written = 0
            self.early.ask(inode.content)
        return done

    def _need_room(self, file: OpenFile, offset: int, length: int) -> None:
        if not self.space.take(length, late=file.late) and not _is_allocated(file.fd, offset, offset + length):
            if file.late and not file.inode.incomplete:
                self._mark_incomplete(file.inode)
            raise errors.NoSpace("there is no room for more")

    def _used(self) -> int:
        usage = self.content.usage
        grown = (_unsealed(file) for file in self._open.values() if file.dirty and file.inode.content not in usage.new)
        return usage.bytes + self.content.new_bytes() + sum(grown)

    def _begin_dirty(self, file: OpenFile) -> None:
        """Bytes are about to differ from the sealed generation: keep that one for transfers which still want it."""
        assert not file.frozen, "D2: the hot mark is not durable"
        file.dirty = True
        file.dirty_since_s = time.monotonic()
        inode = file.inode
        if not inode.generation or all(self.catalog.get(keys.unsettled(f)) is None for f in inode.files):
            return
        self._unpin(inode.number)
        self._pinned[inode.number] = Pinned(inode.generation, self.content.snapshot(inode.content, inode.sealed_size))

    def _unpin(self, number: InodeNumber) -> None:
        pinned = self._pinned.pop(number, None)
        if pinned is not None:
            pinned.source.close()

    def _mark_incomplete(self, inode: Inode) -> None:
        """A program was told that these bytes are saved, and they are not: they must not pass for the file."""
        inode.incomplete = True
        try:
            self._commit({}, inode)
        except OSError:
            inode.incomplete = True  # the record will say so with the next seal
            log.exception("cannot record that inode %d is incomplete", inode.number)

    async def truncate(self, number: InodeNumber, size: int) -> Inode:
        """ftruncate(2), truncate(2). May wait for a hot mark, and for absent bytes (see Far.fetch_all).

        Raises NoEntry, NoSpace (growing), OSError."""
        inode = self.inode(number)
        if size > inode.size:
            self.space.need()
        if size:
            await self._bring(inode)
        handle = self.open(number, write=True)
        try:
            file = self.handles[handle].file
            if size == 0 and inode.generation:
                self._empty(file)
                return inode
            await self._thaw(file)
            if not file.dirty:
                self._begin_dirty(file)
            for reader in self.content.readers(inode.content):
                reader.save_before(size, max(0, inode.size - size))
            os.ftruncate(file.fd, size)
            inode.size = size
            inode.mtime_ns = inode.ctime_ns = self.now_ns()
            if file.writers > 1:  # somebody's FLUSH will seal it; until then the new length must survive us
                self._commit({}, inode)
            return inode
        finally:
            self.release(handle, seal=self.handles[handle].file.writers == 1)

    def _empty(self, file: OpenFile) -> None:
        """Give the inode a new, empty content file."""
        inode = file.inode
        old, content, size = inode.content, ContentId(self.catalog.next_seq), inode.size
        fd = self.content.create(content)
        changes: Changes = {keys.hot(inode.number): content.to_bytes(8, "big")}
        if inode.files:
            kept = self.history.keep(changes, inode, inode.files[0], TRUNCATED, exact=not file.dirty)
        else:
            kept = self.catalog.get(keys.orphan(inode.number)) or b""
            changes[keys.orphan(inode.number)] = b""
        inode.content, inode.size, inode.blocks, inode.incomplete = content, 0, 0, False
        inode.absent, inode.media_type = False, ""
        inode.mtime_ns = inode.ctime_ns = self.now_ns()
        try:
            self._commit(changes, inode)
        except BaseException:
            os.close(fd)
            raise
        if not kept:
            self._let_go(old)
        elif file.dirty:  # what was not sealed has to be on disk with the record that keeps it
            self.content.sealed(old, Seq(self.catalog.next_seq - 1), size)
        self._hot.pop(inode.number, None)
        _close_fd(file.fd)
        file.fd, file.frozen, file.dirty = fd, False, True
        file.dirty_since_s = time.monotonic()

    def _let_go(self, content: ContentId) -> None:
        if content:
            self.content.let_go(content, Seq(self.catalog.next_seq - 1))

    # -- sealing -----------------------------------------------------------------------------------------------------

    def seal(self, file: OpenFile) -> None:
        """Name what the bytes are now a generation (rule D1: its record is appended before this returns)."""
        inode = file.inode
        if not file.dirty:
            return
        if not inode.files:
            if inode.number in self._overtaken:
                self.overtaken(self._overtaken[inode.number], inode.number)
            if not inode.files:
                return
            del self._overtaken[inode.number]
        found = os.fstat(file.fd)
        seq = self.catalog.next_seq
        before = cost(inode.sealed_size, inode.blocks)
        inode.size = inode.sealed_size = found.st_size
        inode.blocks = found.st_blocks
        inode.generation, inode.sealed_mtime_ns = GenerationId(seq), inode.mtime_ns
        changes: Changes = {}
        mark = self._hot.get(inode.number)
        hot = mark is not None and mark.content == inode.content
        if not hot:
            changes[keys.hot(inode.number)] = None
        for name in inode.files:
            self.mark(changes, name, "content")
        self._commit(changes, inode)
        self.content.sealed(inode.content, seq, found.st_size)
        self.content.usage.sealed(inode.content, before, cost(found.st_size, found.st_blocks))
        if self.content.undurable_bytes > UNDURABLE_BYTES:
            self.catalog.request_barrier()
        file.dirty, file.frozen = False, not hot
        for name in inode.files:
            self.changed(name, "content")

    def _concerns_entries(self, inode: Inode, mode: int, mtime_ns: int) -> bool:
        file = self._open.get(inode.number)
        return super()._concerns_entries(inode, mode, mtime_ns) and not (file is not None and file.dirty)

    def flush(self, handle: Handle) -> None:
        """A descriptor is closed: seal if changed. Raises OSError."""
        opened = self.handles[handle]
        if opened.writable:
            opened.file.flushed = True
            self.seal(opened.file)

    async def sync(self, number: InodeNumber) -> None:
        """fsync(2): seal, then wait until all history so far is on disk. Raises OSError."""
        file = self._open.get(number)
        if file is not None:
            self.seal(file)
        await self.catalog.barrier(Seq(self.catalog.next_seq - 1))

    def release(self, handle: Handle, *, seal: bool = True) -> None:
        """The last descriptor of an open(2) is closed. Raises OSError; the handle is gone all the same."""
        opened = self.handles.pop(handle)
        file = opened.file
        file.handles -= 1
        try:
            if opened.writable:
                file.writers -= 1
                mark = self._hot.get(file.inode.number)
                if mark is not None and not file.writers:
                    mark.left_s = time.monotonic()
                if seal:
                    self.seal(file)
        finally:
            if not file.handles:
                self._close(file)

    def _close(self, file: OpenFile) -> None:
        inode = file.inode
        size = 0 if inode.nlink or file.fd < 0 else os.fstat(file.fd).st_size
        _close_fd(file.fd)
        del self._open[inode.number]
        self.note_use(inode.number, time.monotonic())
        self._overtaken.pop(inode.number, None)
        if inode.number in self._forgotten:
            self._forgotten.discard(inode.number)
            self._live.pop(inode.number, None)
        if inode.nlink == 0:
            self._bury_orphan(inode, size)
            self._hot.pop(inode.number, None)
            self._unpin(inode.number)

    def _bury_orphan(self, inode: Inode, size: int) -> None:
        """Nobody holds it open any more; history may have its bytes."""
        changes: Changes = {}
        kept = self.catalog.get(keys.orphan(inode.number)) or b""
        self._erase(changes, inode)
        written = bool(kept) and self.history.written_on(changes, kept, size)
        seq = self.catalog.commit(changes)
        if written:
            self.content.sealed(inode.content, seq, size)
        elif not kept:
            self._let_go(inode.content)

    # -- for transfers -----------------------------------------------------------------------------------------------

    def source(self, file: FileId, generation: GenerationId) -> Source:
        """The bytes of one sealed generation of a file. Raises Stale if a newer one is there or its bytes are gone."""
        name = self.name(file)
        if name is None or not name.alive:
            raise errors.Stale("the file was deleted")
        inode = self.peek(name.inode)
        opened = self._open.get(name.inode)
        if inode.generation != generation:
            raise errors.Stale("a newer generation was sealed")
        if inode.absent:
            raise errors.Stale("its bytes are not here")
        if opened is None or not opened.dirty:
            return self.content.snapshot(inode.content, inode.sealed_size)
        pinned = self._pinned.pop(name.inode, None)
        if pinned is None or pinned.generation != generation:
            raise errors.Stale("its bytes have changed since; the next seal brings a newer generation")
        return pinned.source

    def head(self, inode: Inode, length: int = 8192) -> bytes:
        """The first bytes of a regular file, to tell its media type. b"" where they cannot be read."""
        if inode.absent:
            return b""
        opened = self._open.get(inode.number)
        try:
            if opened is not None:
                return os.pread(opened.fd, length, 0)
            fd = self.content.open(inode.content)
        except OSError:
            return b""
        try:
            return os.pread(fd, length, 0)
        finally:
            os.close(fd)

    def is_dirty(self, number: InodeNumber) -> bool:
        """Whether a program has the file open and its bytes are not all sealed."""
        file = self._open.get(number)
        return file is not None and file.dirty

    def has_writer(self, number: InodeNumber) -> bool:
        """Whether a program has the file open for writing: the kernel may hold bytes that we have not seen."""
        file = self._open.get(number)
        return file is not None and file.writers > 0

    def statfs(self) -> Room:
        return self.space.room()

    # -- background ----------------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Seal late writes, let old hot marks and idle inodes go; have the disk begin with large files."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.early.run)
            task_status.started()
            while True:
                await trio.sleep(1)
                self.tick(time.monotonic())

    def tick(self, now_s: float) -> None:
        """What run() does each second."""
        self.trim()
        self.history.tick(now_s)
        for file in [file for file in self._open.values() if file.dirty]:
            late = file.flushed and now_s - file.written_s >= QUIET_S
            if late or (file.written_s and now_s - file.dirty_since_s >= LONGEST_S):
                try:
                    self.seal(file)
                except OSError:
                    log.exception("cannot seal inode %d yet", file.inode.number)
        left = [n for n, m in self._hot.items() if m.left_s is not None and now_s - m.left_s >= HOT_KEPT_S]
        self._cool(number for number in left if not self.is_dirty(number))
        for number, pinned in list(self._pinned.items()):
            try:
                inode = self.peek(number)
            except errors.NoEntry:  # its last name went
                self._unpin(number)
                continue
            wanted = any(self.catalog.get(keys.unsettled(f)) is not None for f in inode.files)
            if not wanted or inode.generation != pinned.generation:
                self._unpin(number)

    def end(self) -> None:
        """After the last request: seal what programs left unsealed. The next start then has nothing to recover."""
        try:
            for file in [file for file in self._open.values() if file.dirty]:
                self.seal(file)
            self._cool(number for number in self._hot if not self.is_dirty(number))
        except OSError:
            log.exception("the next start will seal what could not be sealed")

    def _cool(self, numbers: Iterable[InodeNumber]) -> None:
        """Their hot marks go: nobody has written since the last seal, and who writes again has to wait for a mark."""
        for number in list(numbers):
            self.catalog.commit({keys.hot(number): None})
            del self._hot[number]
            opened = self._open.get(number)
            if opened is not None:
                opened.frozen = self._is_frozen(opened.inode)

    # -- starting ------------------------------------------------------------------------------------------------------

    def recover(self) -> int:
        """Before serving: seal what a crash left unsealed, remove what had no name. Returns how many were sealed.

        Blocking, bounded by the number of files that were open for writing.
        """
        for key, _ in self._all(keys.ORPHAN):
            number = InodeNumber(keys.number(key))
            inode = self.peek(number)
            self._bury_orphan(inode, self._length(inode.content))
        found = {InodeNumber(keys.number(key)): keys.number(value, 0) for key, value in self._all(keys.HOT)}
        found.update(dict.fromkeys(self.catalog.recovered_hot - found.keys(), 0))
        return sum(self._reseal(number, content) for number, content in found.items())

    def _length(self, content: ContentId) -> int:
        try:
            fd = self.content.open(content)
        except FileNotFoundError:
            return 0
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _all(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        rows: list[tuple[bytes, bytes]] = []
        while part := self.catalog.scan(prefix, rows[-1][0] if rows else b""):
            rows += part
        return rows

    def _reseal(self, number: InodeNumber, content: int) -> bool:
        changes: Changes = {keys.hot(number): None}
        try:
            inode = self.peek(number)
        except errors.NoEntry:
            self.catalog.commit(changes)
            return False
        if inode.absent or content not in (0, inode.content):  # absent: whatever is here, it is not what was sealed
            self.catalog.commit(changes)
            return False
        try:
            fd = self.content.open(inode.content)
        except FileNotFoundError:  # a power cut before the first sync of a file that nobody had fsynced
            fd = self.content.create(inode.content)
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        seq = self.catalog.next_seq
        if found.st_size != inode.size:
            inode.mtime_ns = max(inode.mtime_ns, found.st_mtime_ns)
        inode.size = inode.sealed_size = found.st_size
        inode.blocks, inode.generation = found.st_blocks, GenerationId(seq)
        inode.sealed_mtime_ns = inode.mtime_ns
        for name in inode.files:
            self.mark(changes, name, "recovered")
        changes[keys.inode(number)] = pack_inode(inode)
        self.catalog.commit(changes)
        self.content.sealed(inode.content, seq, found.st_size)
        return True


def _close_fd(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _is_allocated(fd: int, offset: int, end: int) -> bool:
    return end <= os.fstat(fd).st_size and os.lseek(fd, offset, os.SEEK_HOLE) >= end


def _unsealed(file: OpenFile) -> int:
    """Bytes that a file takes more than at its last seal."""
    found = os.fstat(file.fd)
    return cost(found.st_size, found.st_blocks) - cost(file.inode.sealed_size, file.inode.blocks)
