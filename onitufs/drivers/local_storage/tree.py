"""Access below an entry's root by directory descriptors, one name at a time, following nothing.

Whatever somebody plants there meanwhile, no call of ours leaves the root.
"""

import errno
import itertools
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onitufs.drivers.handlers import PARKED, PRIVATE, RemotePath
from onitufs.model.copies import RemoteState
from onitufs.model.errors import NeedsPerson, ServiceError

from .answering import answering
from .syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, Status, rename, status

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
TMP: RemotePath = (PRIVATE, b"tmp")
TRASH: RemotePath = (PRIVATE, b"trash")
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class Tree:
    """An opened root, with its private directories. Blocking calls; raises OSError and what the names say."""

    def __init__(self, root: Path) -> None:
        """Raises NeedsPerson if the private directory is something else."""
        self.root = root
        self.fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._names = itertools.count()
        self._token = secrets.token_hex(4)
        # Whether the file system can do these; without them there is a small race, or a moment without the name.
        self.can_exchange = self.can_noreplace = self.can_link = True
        try:
            self.private = self._make(self.fd, PRIVATE)
            self.tmp = self._make(self.private, TMP[1])
            for name in (TRASH[1], PARKED[1]):
                os.close(self._make(self.private, name))
        except BaseException:
            self.close()
            raise

    def space(self) -> tuple[int, int]:
        """Bytes that we may still write to its disk, and of the disk in all."""
        with answering(self.root):
            disk = os.statvfs(self.fd)
        return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize

    def _make(self, directory: int, name: bytes) -> int:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=directory)
        return open_private(directory, name, self.root)

    def close(self) -> None:
        for name in ("tmp", "private", "fd"):
            fd = self.__dict__.pop(name, None)
            if fd is not None:
                os.close(fd)

    def check(self) -> None:
        """Raises ServiceError if the root's path no longer leads to the directory that is open."""
        try:
            here, opened = os.stat(self.root), os.fstat(self.fd)
        except OSError as exc:
            raise ServiceError(f"{self.root}: {exc.strerror}; is its disk still there?") from exc
        if (here.st_dev, here.st_ino) != (opened.st_dev, opened.st_ino):
            raise ServiceError(f"{self.root} was replaced or mounted over; it is opened again by itself")

    @contextmanager
    def directories(self) -> Iterator["Directories"]:
        """Opened directories for one call."""
        opened = Directories(self)
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def temp(self) -> Iterator[tuple[int, bytes]]:
        """A new file aside, open for reading and writing, and its name in `tmp`; unlinked unless it was renamed."""
        name = self.temp_name()
        fd = self.open_temp(name)
        renamed = False
        try:
            yield fd, name
            renamed = True
        finally:
            os.close(fd)
            if not renamed:
                self.discard(name)

    def open_temp(self, name: bytes) -> int:
        """Make the file of that name in `tmp`, for reading and writing by us alone."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(name, flags, 0o600, dir_fd=self.tmp)

    def temp_name(self) -> bytes:
        """A name that is not in use in `tmp`."""
        return f"{self._token}-{next(self._names):x}".encode()

    def discard(self, name: bytes) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.tmp)

    def clear_temps(self) -> None:
        """Remove what an earlier session left half-made."""
        for name in os.listdir(self.tmp):
            self.discard(os.fsencode(name))

    def try_writing(self) -> None:
        """Raises OSError if files cannot be made here. A full disk is no obstacle: what needs no space goes on."""
        name = self.temp_name()
        try:
            os.close(self.open_temp(name))
        except OSError as exc:
            if exc.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
        self.discard(name)

    def rename_new(self, name: bytes, directory: int, to: bytes, to_directory: int) -> None:
        """Rename to a name that must be free: FileExistsError."""
        if self.can_noreplace:
            try:
                rename(name, directory, to, to_directory, RENAME_NOREPLACE)
                return
            except OSError as exc:
                if exc.errno not in _UNSUPPORTED:
                    raise
        if lstat(to, to_directory) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(name, to, src_dir_fd=directory, dst_dir_fd=to_directory)
        self.can_noreplace = False  # it was not the names that were at fault

    def exchange(self, name: bytes, directory: int, other: bytes, other_directory: int) -> bool:
        """Swap two names in one step. False: this file system cannot, nothing happened."""
        if not self.can_exchange:
            return False
        try:
            rename(name, directory, other, other_directory, RENAME_EXCHANGE)
        except OSError as exc:
            if exc.errno not in _UNSUPPORTED:
                raise
            self.can_exchange = False
            return False
        return True

    def second_name(self, name: bytes, directory: int, to: bytes, to_directory: int) -> bool:
        """Link an object under another name as well. False: this file system cannot, nothing happened."""
        if self.can_link:
            try:
                os.link(name, to, src_dir_fd=directory, dst_dir_fd=to_directory, follow_symlinks=False)
            except OSError as exc:
                if exc.errno not in {*_UNSUPPORTED, errno.EPERM, errno.EMLINK}:
                    raise
                self.can_link = exc.errno == errno.EMLINK
                return False
            return True
        return False


class Directories:
    """Directories opened for one call, each once; and those whose names changed, to be synced together."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._fds: dict[RemotePath, int] = {}
        self._changed: set[int] = set()

    def fd(self, path: RemotePath) -> int:
        """Descriptor of a directory below the root, valid until the call ends. Raises OSError."""
        if not path:
            return self._tree.fd
        fd = self._fds.get(path)
        if fd is None:
            fd = self._fds[path] = os.open(path[-1], DIRECTORY, dir_fd=self.fd(path[:-1]))
        return fd

    def make(self, path: RemotePath) -> int:
        """As `fd`, but directories that are missing are made, private. For what is below PRIVATE only."""
        try:
            return self.fd(path)
        except FileNotFoundError:
            above = self.make(path[:-1])
            with suppress(FileExistsError):
                os.mkdir(path[-1], 0o700, dir_fd=above)
            return self.fd(path)

    def changed(self, fd: int) -> None:
        self._changed.add(fd)

    def sync(self) -> None:
        """What changed() was called for is on disk."""
        for fd in self._changed:
            sync_directory(fd)
        self._changed.clear()

    def close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()


def open_private(directory: int, name: bytes, root: Path) -> int:
    """Open a private directory of ours. Raises NeedsPerson if something else stands there, OSError."""
    try:
        return os.open(name, DIRECTORY, dir_fd=directory)
    except OSError as exc:
        if exc.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        what = f"{name.decode()} of OnituFS in {root} is a link or a file"
        raise NeedsPerson(f"{what}; remove it if you did not put it there on purpose") from exc


def sync_directory(fd: int) -> None:
    """fsync(2) of a directory, where the file system has that: network ones may not."""
    try:
        os.fsync(fd)
    except OSError as exc:
        if exc.errno not in _UNSUPPORTED:
            raise


def lstat(name: bytes, directory: int) -> Status | None:
    """What stands under a name; None: nothing."""
    try:
        return status(name, directory)
    except FileNotFoundError:
        return None


def fstat(fd: int) -> Status:
    return status(b"", fd)


def rev_of(found: Status) -> str:
    """Identity and state of an object: inode, size, mtime and ctime; of a directory inode and mode."""
    if stat.S_ISDIR(found.st_mode):
        return f"d{found.st_ino:x}.{stat.S_IMODE(found.st_mode):o}"
    return f"{found.st_ino:x}.{found.st_size:x}.{found.st_mtime_ns:x}.{found.st_ctime_ns:x}"


def state_of(found: Status, digest: bytes = b"") -> RemoteState:
    """The id of an object is its inode number and when it was born: those numbers are used again. A rename keeps it.

    A program that saves aside and renames gives the name a new object; all names of one hard-linked file have one id.
    """
    remote_id = f"{found.st_ino:x}.{found.birth_ns:x}" if found.birth_ns else f"{found.st_ino:x}"
    return RemoteState(rev=rev_of(found), remote_id=remote_id, digest=digest)


def same_object(found: Status | None, rev: str) -> bool:
    """Whether that is the object of `rev` with the same content, whatever was renamed or given another mode since."""
    parts = 3 if rev.count(".") == 3 else 1  # of a directory its inode
    return found is not None and rev_of(found).split(".")[:parts] == rev.split(".")[:parts]
