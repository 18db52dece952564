"""Content files: the bytes, one file of the disk for each content id, and what of them is known to be on disk.

Methods are for the loop unless they say otherwise. The barrier's thread takes work from queues whose two ends are
atomic, so that nothing on the loop ever waits for it.
"""

import contextlib
import ctypes
import errno
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock

from onitufs.model.ids import ContentId, Seq

from .side import Snapshot
from .usage import Usage, cost

log = logging.getLogger(__name__)

SHARD_BITS = 12
SYNC_ONE_BY_ONE = 16  # up to so many files; one syncfs() is cheaper beyond
CARRY_FILE_BYTES = 64 << 10
CARRY_BYTES = 256 << 10
"""So much may a barrier leave in the journal: one sync of preallocated blocks instead of two or three that each commit
a transaction of the disk's file system. It reaches its own files with the next larger barrier or fold."""
_MEND_BYTES = 8 << 20
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_CREATE = _FLAGS | os.O_CREAT | os.O_TRUNC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ROOT = -1  # stands for the store's own directory among the shards
_libc = ctypes.CDLL(None, use_errno=True)


def _name(content: int) -> str:
    return f"{content >> SHARD_BITS:x}/{content:x}"


def _syncfs(fd: int) -> None:
    if _libc.syncfs(fd):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class ContentStore:
    """The content files below one directory: SHARD/ID in hex, where SHARD is the id without its last 12 bits."""

    def __init__(self, directory: Path) -> None:
        """Opens it, makes it (0700) if missing. Raises OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self._dir = os.open(directory, _DIRECTORY)
        # Queues from the loop to the barrier's thread, in order of seq.
        self._seals: deque[tuple[int, ContentId, int]] = deque()
        self._gained: deque[int] = deque()  # shards with new names
        self._last_gained = _ROOT - 1
        self._let_go: deque[tuple[int, ContentId]] = deque()
        self._gone: dict[ContentId, int] = {}  # content let go and not yet unlinked -> seq that let go
        self._unlinked: deque[ContentId] = deque()  # from the thread that collects
        # The barrier's own.
        self._due: dict[ContentId, int] = {}  # to be synced -> sealed size; stays here until a barrier succeeded
        self._carried: dict[ContentId, None] = {}  # on disk in the journal only
        self._due_bytes = 0
        self._due_shards: set[int] = set()
        self._unknown = True  # nothing is known of what an earlier process wrote
        self._failed = False
        self._trusts_syncfs = True
        self._mending: list[tuple[ContentId, int]] = []
        self._bytes_sealed = 0  # written by the loop only
        self._bytes_synced = 0  # written by the barrier's thread only
        self._newest_shard = 0
        self.usage = Usage(directory, lambda content: content >> SHARD_BITS)
        self._readers: dict[ContentId, list[Snapshot]] = {}
        self._readers_lock = Lock()

    # -- files ----------------------------------------------------------------------------------------------------

    def create(self, content: ContentId) -> int:
        """A new, empty content file; its descriptor, for reading and writing. Raises OSError."""
        name = _name(content)
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=self._dir)
        except FileNotFoundError:
            os.mkdir(name.partition("/")[0], 0o700, dir_fd=self._dir)
            self._gained.append(_ROOT)
            fd = os.open(name, _CREATE, 0o600, dir_fd=self._dir)
        self.usage.made(content)
        shard = content >> SHARD_BITS
        if shard != self._last_gained:
            self._last_gained = shard
            self._newest_shard = max(shard, self._newest_shard)
            self._gained.append(shard)
        return fd

    def open(self, content: ContentId) -> int:
        """A descriptor of the content file, for reading and writing. Raises OSError."""
        return os.open(_name(content), _FLAGS, dir_fd=self._dir)

    def sealed(self, content: ContentId, seq: Seq, size: int) -> None:
        """Record `seq` sealed `size` bytes of this content: the next barrier that covers it syncs it."""
        self._seals.append((seq, content, size))
        self._bytes_sealed += size

    def let_go(self, content: ContentId, seq: Seq) -> None:
        """Record `seq` named this content for the last time: it is unlinked once that record is on disk (D6)."""
        self._gone[content] = seq
        self._let_go.append((seq, content))

    def new_bytes(self) -> int:
        """What content takes that was made in this run and not sealed yet."""
        total = 0
        for content in self.usage.new:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(_name(content), dir_fd=self._dir)
                total += cost(found.st_size, found.st_blocks)
        return total

    @property
    def undurable_bytes(self) -> int:
        """Bytes sealed and not yet synced."""
        return self._bytes_sealed - self._bytes_synced

    def ids(self) -> Iterator[ContentId]:
        """Every content file there is, in no order, while others may come and go. For a thread. Raises OSError."""
        for shard in os.listdir(self._dir):
            try:
                names = os.listdir(self.directory / shard)
            except (NotADirectoryError, FileNotFoundError):
                continue
            for name in names:
                try:
                    yield ContentId(int(name, 16))
                except ValueError:
                    continue

    # -- what a barrier does ----------------------------------------------------------------------------------------

    def carry_through(self, seq: Seq) -> list[tuple[ContentId, bytes]] | None:
        """See catalog.needs.Content. In the barrier's thread."""
        self._take_through(seq)
        due = self._alive(self._due, seq)
        sizes = [self._due[content] for content in due]
        if self._unknown or sum(sizes) > CARRY_BYTES or max(sizes, default=0) > CARRY_FILE_BYTES:
            return None
        try:
            carried = [(content, self._read(content)) for content in due]
        except OSError:
            return None  # sync_through will say what is wrong
        # Larger by now than it was sealed: hot, so the bytes need not be exact, but the journal is no place for them.
        return carried if all(len(data) <= 2 * CARRY_FILE_BYTES for _, data in carried) else None

    def _read(self, content: ContentId) -> bytes:
        fd = self.open(content)
        try:
            return os.pread(fd, 2 * CARRY_FILE_BYTES + 1, 0)
        finally:
            os.close(fd)

    def vouched(self, *, carried: bool) -> None:
        """See catalog.needs.Content. In the barrier's thread."""
        if carried:
            self._carried.update(dict.fromkeys(self._due))
        else:
            self._carried.clear()
            self._due_shards.clear()
        self._due.clear()
        self._bytes_synced += self._due_bytes
        self._due_bytes = 0

    def restore(self, content: ContentId, data: bytes) -> None:
        """See catalog.needs.Content. At a start. Raises OSError."""
        fd = self.create(content)
        try:
            if os.pwrite(fd, data, 0) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(fd)

    def _alive(self, contents: Iterable[ContentId], seq: int) -> list[ContentId]:
        """Those that no record up to `seq` let go of."""
        return [content for content in contents if self._gone.get(content, seq + 1) > seq]

    def _take_through(self, seq: int) -> None:
        while self._unlinked:
            content = self._unlinked.popleft()
            self._gone.pop(content, None)
            self._carried.pop(content, None)
        while self._seals and self._seals[0][0] <= seq:
            _, content, size = self._seals.popleft()
            self._due_bytes += size
            self._due[content] = size

    def sync_through(self, seq: Seq) -> None:
        """D3 (a) and (b). In the barrier's thread. Raises OSError; what was due stays due, also until `vouched`."""
        self._last_gained = _ROOT - 1  # before the queue is emptied: a name made after this is queued again
        while self._gained:
            self._due_shards.add(self._gained.popleft())
        self._take_through(seq)
        try:
            due = self._alive(self._due | self._carried, seq)
            many = self._trusts_syncfs and len(due) + len(self._due_shards) > SYNC_ONE_BY_ONE
            if self._unknown or many:
                _syncfs(self._dir)
            else:
                for content in due:
                    self._sync_file(content)
                for shard in self._due_shards:
                    self._sync_shard(shard)
        except OSError:
            self._failed = True
            # syncfs() tells once that some file failed. One that is sealed later may be it; fdatasync() still tells.
            self._trusts_syncfs = False
            raise
        self._unknown = False

    def _sync_file(self, content: ContentId) -> None:
        try:
            fd = self.open(content)
        except FileNotFoundError:
            log.error("content file %s is missing", _name(content))  # noqa: TRY400
            return
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def _sync_shard(self, shard: int) -> None:
        try:
            fd = os.open("." if shard == _ROOT else f"{shard:x}", _DIRECTORY, dir_fd=self._dir)
        except FileNotFoundError:
            return  # emptied and removed since
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def mend(self) -> bool:
        """Write again what an earlier sync failed on: the kernel may take lost pages for clean ones (D4).

        On the loop, because nothing may write to the file between our read and our write. A few MiB a call; True
        while there is more. Raises OSError.
        """
        if self._failed:
            self._failed = False
            self._mending = [(content, 0) for content in self._due | self._carried]
        if not self._mending:
            return False
        content, at = self._mending.pop()
        try:
            fd = self.open(content)
            try:
                data = os.pread(fd, _MEND_BYTES, at)
                if data:
                    self._mending.append((content, at + os.pwrite(fd, data, at)))
            finally:
                os.close(fd)
        except FileNotFoundError:
            pass  # collected since
        except OSError:
            self._failed = True  # all over again next time
            raise
        return bool(self._mending)

    def may_collect(self, seq: Seq) -> bool:
        """Whether `collect_through` has something to do."""
        return bool(self._let_go) and self._let_go[0][0] <= seq

    def collect_through(self, seq: Seq) -> None:
        """D6. In a thread, one at a time, after everything up to `seq` is on disk. Raises OSError."""
        shards = set()
        while self._let_go and self._let_go[0][0] <= seq:
            _, content = self._let_go.popleft()
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(_name(content), dir_fd=self._dir)
                self.usage.unlinked(content, found.st_size, found.st_blocks)
                os.unlink(_name(content), dir_fd=self._dir)
            self._unlinked.append(content)
            shards.add(content >> SHARD_BITS)
        for shard in shards:
            if shard < self._newest_shard:  # numbers only grow, so nothing is made in this one any more
                try:
                    os.rmdir(f"{shard:x}", dir_fd=self._dir)
                except OSError as exc:
                    if exc.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                        raise

    # -- reading for transfers ------------------------------------------------------------------------------------

    def snapshot(self, content: ContentId, size: int) -> Snapshot:
        """The first `size` bytes as they are now, whatever is written later. On the loop. Raises OSError.

        Whoever changes the content file asks `readers` first and calls `save_before` on each.
        """
        snapshot = Snapshot(self.open(content), size, self.directory, lambda s: self._forget(content, s))
        with self._readers_lock:
            self._readers[content] = [*self._readers.get(content, ()), snapshot]
        return snapshot

    def readers(self, content: ContentId) -> "list[Snapshot] | tuple[()]":
        """Who is reading this content now; empty almost always."""
        return self._readers.get(content, ())

    def _forget(self, content: ContentId, snapshot: Snapshot) -> None:
        with self._readers_lock:
            left = [other for other in self._readers.get(content, ()) if other is not snapshot]
            if left:
                self._readers[content] = left
            else:
                self._readers.pop(content, None)

    def close(self) -> None:
        """No thread may be in it. Idempotent."""
        if self._dir >= 0:
            os.close(self._dir)
            self._dir = -1
