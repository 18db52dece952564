"""Which directories are watched, and where they are.

inotify(7) watches one directory at a time and knows no paths. So each watched directory knows its parent and its name
there: a rename moves all that is below in one step, as it does on the disk. Where a directory is, is never concluded
from events alone: it is opened by name, and the kernel says which watch that is.
"""

import errno
import os
from collections.abc import Callable, Iterator

from onitufs.drivers.handlers import PRIVATE, RemotePath

from .inotify import Inotify
from .tree import DIRECTORY, Tree

_VANISHED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_DENIED = {errno.EACCES, errno.EPERM}
_NO_MORE = {errno.ENOSPC, errno.ENOMEM}


class Elsewhere(Exception):
    """A directory is not where it was known to be; events that say so are still to be read."""


class Directory:
    """A watched directory. `parent` None: the root, or it was moved away and has not turned up yet."""

    __slots__ = ("children", "inode", "name", "parent", "watch")

    def __init__(self, watch: int, inode: int) -> None:
        self.watch = watch
        self.inode = inode
        self.name = b""
        self.parent: Directory | None = None
        self.children: dict[bytes, Directory] = {}

    def top(self) -> "Directory":
        """The root, or the directory that was moved away with this one in it."""
        top = self
        while top.parent is not None:
            top = top.parent
        return top

    def below(self) -> Iterator["Directory"]:
        """This one and all in it."""
        stack = [self]
        while stack:
            directory = stack.pop()
            yield directory
            stack += directory.children.values()


class WatchedTree:
    """Every directory below a root, but PRIVATE and other file systems. For one task; `arm` and `arm_all` block.

    `full`: the system allows no more watches, so some directories are not watched.
    """

    def __init__(self, tree: Tree, inotify: Inotify, check_cancelled: Callable[[], None]) -> None:
        self._tree = tree
        self._inotify = inotify
        self._check_cancelled = check_cancelled
        self._by_watch: dict[int, Directory] = {}
        found = os.fstat(tree.fd)
        self._device = found.st_dev
        self._displaced: list[Directory] = []
        self.full = False
        self.root = Directory(inotify.add(tree.fd), found.st_ino)
        self._by_watch[self.root.watch] = self.root

    def __len__(self) -> int:
        return len(self._by_watch)

    def get(self, watch: int) -> Directory | None:
        return self._by_watch.get(watch)

    def path(self, directory: Directory) -> RemotePath | None:
        """Where it is; None while it is moved away."""
        names = []
        while directory.parent is not None:
            names.append(directory.name)
            directory = directory.parent
        return tuple(reversed(names)) if directory is self.root else None

    # -- arming: blocking ----------------------------------------------------------------------------------------------

    def arm_all(self) -> list[int]:
        """Watch everything, whatever was known before. Watches that are not wanted any more. Raises OSError."""
        seen = {self.root}
        self.full = False
        self._walk(self.root, os.dup(self._tree.fd), seen)
        gone = [directory for directory in self._by_watch.values() if directory not in seen]
        for directory in gone:
            self.forget(directory)
        self._displaced.clear()
        return [directory.watch for directory in gone]

    def arm(self, parent: Directory, name: bytes) -> bool:
        """Watch what stands under a name, if it is a directory. True: it is new to us, with all that is in it.

        Raises Elsewhere for `parent`, OSError.
        """
        path = self.path(parent)
        if path is None:
            return False
        with self._tree.directories() as directories:
            try:
                above = directories.fd(path)
            except OSError as exc:
                if exc.errno in _VANISHED:
                    raise Elsewhere from exc
                if exc.errno in _DENIED:
                    return False  # another event tells why
                raise
            if os.fstat(above).st_ino != parent.inode:
                raise Elsewhere
            entered = self._enter(parent, name, above, None)
        if entered is None:
            return False
        self._walk(*entered, None)
        return True

    def _enter(
        self, parent: Directory, name: bytes, above: int, seen: set[Directory] | None
    ) -> tuple[Directory, int] | None:
        """Watch one directory. Itself and its descriptor, if what is in it is to be watched now.

        That is so if it is new; with `seen`, of which it becomes one, if it was none of those.
        """
        try:
            fd = os.open(name, DIRECTORY, dir_fd=above)
        except OSError as exc:
            if exc.errno in _VANISHED | _DENIED:
                return None
            raise
        entered = False
        try:
            found = os.fstat(fd)
            if found.st_dev != self._device:
                return None
            watch = self._inotify.add(fd)
            directory = self._by_watch.get(watch)
            new = directory is None
            if directory is None:
                directory = self._by_watch[watch] = Directory(watch, found.st_ino)
            self._place(directory, parent, name)
            entered = new or (seen is not None and directory not in seen)
            if seen is not None:
                seen.add(directory)
            return (directory, fd) if entered else None
        except OSError as exc:
            if exc.errno in _NO_MORE:
                self.full = True
            elif exc.errno not in _VANISHED | _DENIED:
                raise
            return None
        finally:
            if not entered:
                os.close(fd)

    def _walk(self, top: Directory, fd: int, seen: set[Directory] | None) -> None:
        """Watch all directories in one. It is watched itself already, so what is made meanwhile is told.

        Closes `fd`.
        """
        stack: list[tuple[Directory, int, list[bytes] | None]] = [(top, fd, None)]
        try:
            while stack:
                directory, fd, names = stack[-1]
                if names is None:
                    self._check_cancelled()
                    stack[-1] = (directory, fd, names := self._names(directory, fd))
                if not names or self.full:
                    stack.pop()
                    os.close(fd)
                elif (entered := self._enter(directory, names.pop(), fd, seen)) is not None:
                    stack.append((*entered, None))
        finally:
            for _, fd, _ in stack:
                os.close(fd)

    def _names(self, directory: Directory, fd: int) -> list[bytes]:
        with os.scandir(fd) as found:
            names = [os.fsencode(entry.name) for entry in found if entry.is_dir(follow_symlinks=False)]
        return [name for name in names if directory is not self.root or name != PRIVATE]

    # -- following -----------------------------------------------------------------------------------------------------

    def _place(self, directory: Directory, parent: Directory, name: bytes) -> None:
        self.detach(directory)
        displaced = parent.children.get(name)
        if displaced is not None:
            displaced.parent = None
            self._displaced.append(displaced)
        directory.parent, directory.name = parent, name
        parent.children[name] = directory

    def displaced(self) -> list[Directory]:
        """Those, not given before, whose name another has: they were moved, and where to has not been told yet."""
        displaced, self._displaced = self._displaced, []
        return [directory for directory in displaced if directory.parent is None]

    def detach(self, directory: Directory) -> None:
        """It is no longer where it was."""
        if directory.parent is not None and directory.parent.children.get(directory.name) is directory:
            del directory.parent.children[directory.name]
        directory.parent = None

    def forget(self, directory: Directory) -> None:
        """It is not watched any more."""
        self.detach(directory)
        self._by_watch.pop(directory.watch, None)

    def forget_below(self, directory: Directory) -> list[int]:
        """None in it are to be watched any more; their watches, to be removed."""
        gone = list(directory.below())
        for each in gone:
            self.forget(each)
        return [each.watch for each in gone]
