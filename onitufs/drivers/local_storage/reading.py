"""Listing and reading what is on a disk, while others may change it."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from blake3 import blake3

from onitufs.drivers.handlers import PRIVATE, Found, RemotePath, shown
from onitufs.drivers.writing import write_all
from onitufs.model.errors import Conflict, Gone, NameNotAllowed
from onitufs.model.files import Kind, kind_of

from .answering import answering, meaning
from .syscalls import Status
from .tree import Directories, Tree, fstat, lstat, rev_of, state_of

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20
_STEP = 8 << 20
"""Bytes that the kernel copies at a time, at most: then it is seen whether they are still wanted."""
_FICLONE = 0x40049409  # ioctl_ficlone(2)
_NO_CLONE = {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EBADF, errno.EPERM}
_TARGET_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ROUNDS = 4
"""How often a directory is read again at most, because names in it changed while it was read."""


class Reader:
    """Reads in one Tree. Blocking calls; raises DriverError."""

    def __init__(self, tree: Tree, check_cancelled: Callable[[], None]) -> None:
        self._tree = tree
        self._check_cancelled = check_cancelled

    def names(self, directories: Directories, path: RemotePath) -> list[tuple[bytes, Found]]:
        """All that stands in a directory, but for PRIVATE in the root, devices, fifos and sockets.

        A name that was renamed while the directory was read may appear in no single reading of it. So it is read until
        it did not change meanwhile; one that never rests gives all names that were there at the end.
        """
        with answering(self._tree.root, path):
            directory = directories.fd(path)
            if fstat(directory).st_dev != fstat(self._tree.fd).st_dev:
                where = f"{shown(path)} in {self._tree.root}"
                raise NameNotAllowed(f"{where}: another file system is mounted there; make that an entry of its own")
            names: dict[bytes, None] = {}
            for _ in range(_ROUNDS):
                before = fstat(directory)
                names.update(dict.fromkeys(os.fsencode(name) for name in os.listdir(directory)))
                found = list(self._found(directory, path, names))
                after = fstat(directory)
                if (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns):
                    break
            return found

    def _found(self, directory: int, path: RemotePath, names: dict[bytes, None]) -> Iterator[tuple[bytes, Found]]:
        for number, name in enumerate(names):
            if number % 64 == 0:
                self._check_cancelled()
            if name == PRIVATE and not path:
                continue
            status = lstat(name, directory)
            if status is None or kind_of(status.st_mode) is Kind.SPECIAL:
                continue
            with suppress(FileNotFoundError):  # a link that went away just now
                yield name, found_of(status, name, directory)

    @contextmanager
    def opened(self, directories: Directories, path: RemotePath, rev: str | None = None) -> Iterator[int]:
        """A file, open for reading. Raises Gone, Conflict if it is no file or not of that rev, now or at the end."""
        root = self._tree.root
        with answering(root, path):
            directory = directories.fd(path[:-1])
            found = lstat(path[-1], directory)
            if found is None:
                raise Gone(f"{shown(path)} is not in {root}")
            if not stat.S_ISREG(found.st_mode):  # not opened: a device may do whatever it likes then
                raise Conflict(f"{shown(path)} in {root} is not a file")
            fd = os.open(path[-1], READ, dir_fd=directory)
        try:
            self._same(fd, path, rev)
            yield fd
            self._same(fd, path, rev)
        finally:
            os.close(fd)

    def _same(self, fd: int, path: RemotePath, rev: str | None) -> None:
        with answering(self._tree.root, path):
            found = fstat(fd)
        if not stat.S_ISREG(found.st_mode) or (rev is not None and rev_of(found) != rev):
            raise Conflict(f"{shown(path)} in {self._tree.root} has been changed")

    def chunk(self, fd: int, offset: int, length: int) -> bytes:
        """Bytes at an offset; fewer than `length` only at the end. Raises OSError."""
        data = os.pread(fd, length, offset)
        while data and len(data) < length and (more := os.pread(fd, length - len(data), offset + len(data))):
            data += more
            self._check_cancelled()
        return data

    def copy(self, source: int, fd: int, tick: Callable[[int], None], path: RemotePath) -> bytes:
        """Write a whole file into `fd`, with the least work that the disks offer; its digest if it was read.

        Raises OSError if that one cannot be written.
        """
        with answering(self._tree.root, path):
            size = fstat(source).st_size
        try:
            fcntl.ioctl(fd, _FICLONE, source)
        except OSError as exc:
            if exc.errno in _TARGET_FULL:
                raise
            if exc.errno not in _NO_CLONE:
                raise meaning(exc, self._tree.root, path) from exc
        else:
            tick(size)
            return b""
        return b"" if self._copied(source, fd, size, tick, path) else self._read(source, fd, tick, path)

    def _copied(self, source: int, fd: int, size: int, tick: Callable[[int], None], path: RemotePath) -> bool:
        """By copy_file_range(2). False: these file systems cannot, nothing was written."""
        done = 0
        while done < size:
            self._check_cancelled()
            try:
                count = os.copy_file_range(source, fd, min(_STEP, size - done), done, done)
            except OSError as exc:
                if exc.errno in _TARGET_FULL:
                    raise
                if done == 0 and exc.errno in _NO_CLONE:
                    return False
                raise meaning(exc, self._tree.root, path) from exc
            if count == 0:
                return False  # some file systems say 0 and mean that they cannot; a shorter file is seen at the end
            done += count
            tick(done)
        return True

    def _read(self, source: int, fd: int, tick: Callable[[int], None], path: RemotePath) -> bytes:
        hasher = blake3()
        done = 0
        while True:
            self._check_cancelled()
            with answering(self._tree.root, path):
                data = os.pread(source, _CHUNK, done)
            if not data:
                return hasher.digest()
            hasher.update(data)
            done = write_all(fd, data, done)
            tick(done)


def found_of(status: Status, name: bytes = b"", directory: int = -1) -> Found:
    """What stands under a name. Raises OSError for a link that is gone."""
    kind = kind_of(status.st_mode)
    return Found(
        kind=kind,
        size=0 if kind is Kind.DIRECTORY else status.st_size,
        mtime_ns=status.st_mtime_ns,
        mode=stat.S_IMODE(status.st_mode) & 0o777,
        state=state_of(status),
        target=os.readlink(name, dir_fd=directory) if kind is Kind.SYMLINK else b"",
    )
