"""How a file comes to its place on a disk: written aside, then put there in one step."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress

from onitufs.drivers.handlers import RemotePath, Upload, shown
from onitufs.model.digests import digest_of
from onitufs.model.errors import Conflict, Stale
from onitufs.model.source import Source
from onitufs.model.writeback import begin_write

from .reading import READ
from .syscalls import Status
from .trash import Trash
from .tree import Directories, Tree, lstat, rev_of, same_object

_CHUNK = 1 << 20
_HASHED_BYTES = 64 << 20
"""Files up to this size are hashed after they were copied, while they still are in memory, if it did not happen yet."""


class Placer:
    """Writes and places in one Tree. Blocking calls; raises OSError, Conflict, Stale."""

    def __init__(self, tree: Tree, trash: Trash, check_cancelled: Callable[[], None]) -> None:
        self._tree = tree
        self._trash = trash
        self._check_cancelled = check_cancelled

    def hash(self, fd: int) -> bytes:
        """blake3 of a file from its beginning."""

        def read(offset: int, length: int) -> bytes:
            self._check_cancelled()
            return os.pread(fd, length, offset)

        return digest_of(read)

    def fill(self, fd: int, upload: Upload, source: Source) -> bytes:
        """Copy the bytes and attributes; the digest if it is known."""
        digest = source.copy_into(fd, None)
        if os.fstat(fd).st_size != upload.size:
            raise Stale(f"{shown(upload.path)} has not the size any more that it was ordered with")
        if not digest and upload.size <= _HASHED_BYTES:
            digest = self.hash(fd)
        with suppress(PermissionError):  # a file of our own: then it is the disk that keeps no modes
            os.fchmod(fd, upload.mode)
        os.utime(fd, ns=(upload.mtime_ns, upload.mtime_ns))
        return digest

    def place(self, directories: Directories, name: bytes, path: RemotePath, base: str | None) -> None:
        """Give a finished temp its final name in one step, what stood there to the trash. Raises Conflict, OSError."""
        tree = self._tree
        directory = directories.fd(path[:-1])
        there = lstat(path[-1], directory)
        directories.changed(directory)
        if there is None:
            try:
                tree.rename_new(name, tree.tmp, path[-1], directory)
            except FileExistsError as exc:
                raise Conflict(f"{shown(path)} in {self._tree.root} has just been made by somebody else") from exc
            return
        if base is None or rev_of(there) != base or stat.S_ISDIR(there.st_mode):
            raise Conflict(f"{shown(path)} in {self._tree.root} is not what was placed there")
        self.replace(directories, name, tree.tmp, path, there)

    def replace(self, directories: Directories, name: bytes, source: int, path: RemotePath, there: Status) -> None:
        """Put an object in the place of the one that is `there`, which goes to the trash.

        The new one first takes the old one's name in the trash, then they change places in one step: no instant is
        without the name, and a crash leaves both whole. If it turns out that somebody was quicker, they change back.
        """
        tree = self._tree
        directory = directories.fd(path[:-1])
        slot, where = self._trash.take(directories, name, source, path)
        old = rev_of(there)
        if tree.exchange(slot, where, path[-1], directory):
            if same_object(lstat(slot, where), old):
                return
            tree.exchange(slot, where, path[-1], directory)
        else:
            # No exchange on this file system: the old object gets a second name, or a duplicate, then rename over it.
            tree.rename_new(slot, where, name, source)
            if not tree.second_name(path[-1], directory, slot, where):
                self._duplicate(path[-1], directory, slot, where)
            if same_object(lstat(path[-1], directory), old):
                os.rename(name, path[-1], src_dir_fd=source, dst_dir_fd=directory)
                return
            os.unlink(slot, dir_fd=where)
            raise Conflict(f"{shown(path)} in {self._tree.root} was changed meanwhile")
        tree.rename_new(slot, where, name, source)
        raise Conflict(f"{shown(path)} in {self._tree.root} was changed meanwhile")

    def _duplicate(self, name: bytes, directory: int, to: bytes, to_directory: int) -> None:
        with open(os.open(name, READ, dir_fd=directory), "rb") as old:
            fd = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=to_directory)
            with open(fd, "wb") as new:
                while data := old.read(_CHUNK):
                    new.write(data)
                    self._check_cancelled()
                new.flush()
                os.fsync(new.fileno())


def sync_files(fds: list[int]) -> None:
    """On disk, all of them. Their writes are begun together, so that the first fsync waits for nearly all.

    Not syncfs, which is as quick for these files but waits for everybody else's bytes on that disk as well.
    """
    if len(fds) > 1:
        for fd in fds:
            begin_write(fd)
    for fd in fds:
        os.fsync(fd)
