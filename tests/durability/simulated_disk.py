"""A disk that forgets and fails: the real code runs on real files, and this remembers which of its writes were synced.

Put in the place of `os` in the modules under test. A power cut then keeps what was synced, and of the rest each page
and each change of a directory by chance. Every call that changes the disk is an instant at which the machine may stop.
"""

import errno
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

PAGE = 64  # far smaller than a real page, so that small files tear in many ways


class Stopped(BaseException):
    """The process, or the machine, stopped here. Not an Exception, so that no handler of ours takes it for an error."""


@dataclass
class _File:
    durable: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, written), or (size, None) if cut
    failed: bool = False  # pages were lost, and nobody has been told


def _applied(before: bytes, changes: Iterable[tuple[int, bytes | None]]) -> bytes:
    data = bytearray(before)
    for at, written in changes:
        data.extend(bytes(max(0, at - len(data))))
        if written is None:
            del data[at:]
        else:
            data[at : at + len(written)] = written
    return bytes(data)


class SimulatedDisk:
    """What is on disk below `root`, and what would be after a power cut."""

    def __init__(self, root: Path, random: Random) -> None:
        """Everything that is there now counts as synced."""
        self.root = root
        self.stop_after: int | None = None
        self.random = random
        self.stopped = False
        self.has_lost = False
        self._failed = False  # as syncfs() would tell
        self.gate: Any = None  # asked before each change that does not come from the main thread
        self._main = threading.get_ident()
        self._paths: dict[int, Path] = {}
        self._files: dict[Path, _File] = {}
        self._names: set[Path] = set()  # names that are on disk
        self._changed: dict[Path, list[tuple[bool, Path]]] = {}  # directory -> (added, name), not on disk
        for path in root.rglob("*"):
            self._names.add(path)
            if path.is_file():
                self._files[path] = _File(path.read_bytes())

    def start(self, stop_after: int | None) -> None:
        """A process starts, and will be stopped after so many changes (None: not by itself)."""
        self.stop_after, self.stopped = stop_after, False

    # -- the part of os that is ours to watch -----------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def instant(self) -> None:
        """One more change is about to happen, unless the machine stops before it."""
        if self.gate is not None and threading.get_ident() != self._main:
            self.gate()
        if self.stopped:
            raise Stopped
        if self.stop_after is not None:
            self.stop_after -= 1
            if self.stop_after < 0:
                self.stopped = True
                raise Stopped

    def _path(self, path: Any, dir_fd: int | None) -> Path:
        return Path(os.path.normpath(Path(path) if dir_fd is None else self._paths[dir_fd] / path))

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        full = self._path(path, dir_fd)
        new = bool(flags & os.O_CREAT) and not full.exists()
        if new:
            self.instant()
        fd = os.open(full, flags, mode)
        self._paths[fd] = full
        if new:
            self._files[full] = _File()
            self._changed.setdefault(full.parent, []).append((True, full))
        elif flags & os.O_TRUNC:
            self._files[full].since.append((0, None))
        return fd

    def close(self, fd: int) -> None:
        if self.stopped:
            raise Stopped
        del self._paths[fd]
        os.close(fd)

    def pwrite(self, fd: int, data: Any, at: int) -> int:
        data = bytes(data)
        try:
            self.instant()
        except Stopped:  # the call in progress may have got somewhere
            self._write(fd, data[: self.random.randrange(len(data) + 1)], at)
            raise
        self._write(fd, data, at)
        return len(data)

    def _write(self, fd: int, data: bytes, at: int) -> None:
        if data:
            os.pwrite(fd, data, at)
            file = self._files.get(self._paths[fd])
            if file is not None:  # else one without a name, which no start will see
                file.since.append((at, data))

    def ftruncate(self, fd: int, size: int) -> None:
        self.instant()
        os.ftruncate(fd, size)
        self._files[self._paths[fd]].since.append((size, None))

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self.instant()
        full = self._path(path, dir_fd)
        os.mkdir(full, mode)
        self._changed.setdefault(full.parent, []).append((True, full))

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self.instant()
        full = self._path(path, dir_fd)
        os.unlink(full)
        self._changed.setdefault(full.parent, []).append((False, full))

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        full = self._path(path, dir_fd)
        if any(full.iterdir()):
            os.rmdir(full)  # raises
        self.instant()
        os.rmdir(full)
        self._changed.setdefault(full.parent, []).append((False, full))

    def fdatasync(self, fd: int) -> None:
        self.instant()
        self._settle_file(self._files[self._paths[fd]])

    def fsync(self, fd: int) -> None:
        path = self._paths[fd]
        if path in self._files:
            self.fdatasync(fd)
            return
        self.instant()
        self._settle(path)

    def syncfs(self, fd: int) -> None:
        self.instant()
        if self._failed:
            self._failed = False
            raise OSError(errno.EIO, "some file could not be written")
        for file in self._files.values():
            failed, file.failed = file.failed, False
            self._settle_file(file)
            file.failed = failed  # of one file syncfs() knows nothing
        for directory in list(self._changed):
            self._settle(directory)

    def _settle_file(self, file: _File) -> None:
        if file.failed:
            file.failed = False
            raise OSError(errno.EIO, "pages were lost")
        file.durable = _applied(file.durable, file.since)
        file.since.clear()

    def lose_pages(self) -> None:
        """The disk fails to write one file's pages. The kernel drops them, and tells whoever syncs next, once."""
        dirty = [file for file in self._files.values() if file.since]
        if not dirty:
            return
        file = self.random.choice(dirty)
        file.since = [change for change in file.since if change[1] is None]
        file.failed = self._failed = self.has_lost = True

    def _settle(self, directory: Path) -> None:
        for added, path in self._changed.pop(directory, ()):
            (self._names.add if added else self._names.discard)(path)

    # -- LMDB keeps its own promises: a commit is there, or is not ---------------------------------------------------

    def committed(self, path: Path) -> None:
        """The data file at `path` is on disk as it is now."""
        self._names.add(path)
        self._files[path] = _File(path.read_bytes())

    # -- the end ----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        self.stopped = True

    def forget_descriptors(self) -> None:
        """Close what the stopped process had open."""
        for fd in self._paths:
            os.close(fd)
        self._paths.clear()

    def survive(self, target: Path) -> None:
        """Write what a power cut left to the empty directory `target`."""
        names = set(self._names)
        keep_names = self.random.choice((0.0, 0.5, 0.9, 1.0))
        for changes in self._changed.values():
            for added, path in changes:
                if self.random.random() < keep_names:
                    (names.add if added else names.discard)(path)
        for path in sorted(names):
            if all(parent in names or parent == self.root for parent in self._parents(path)):
                copy = target / path.relative_to(self.root)
                if path in self._files:
                    copy.write_bytes(self._survivor(self._files[path]))
                else:
                    copy.mkdir()

    def _parents(self, path: Path) -> list[Path]:
        return [p for p in path.parents if p == self.root or self.root in p.parents]

    def _survivor(self, file: _File) -> bytes:
        """Of the unsynced writes to a page the disk has the first few: none, some, or all."""
        pieces: list[tuple[int, bytes | None]] = []  # no piece crosses a page
        of_page: dict[int, list[int]] = {}  # page -> its pieces; a cut counts as a page of its own
        for at, written in file.since:
            if written is None:
                of_page[-1 - len(pieces)] = [len(pieces)]
                pieces.append((at, None))
                continue
            start = at
            while start < at + len(written):
                end = min(at + len(written), (start // PAGE + 1) * PAGE)
                of_page.setdefault(start // PAGE, []).append(len(pieces))
                pieces.append((start, written[start - at : end - at]))
                start = end
        kept = {piece for page in self._pages_kept(list(of_page.values())) for piece in page}
        return _applied(file.durable, [piece for number, piece in enumerate(pieces) if number in kept])

    def _pages_kept(self, pages: list[list[int]]) -> list[list[int]]:
        random = self.random
        how = random.choice(("none", "all", "all but one", "any"))
        if how == "none" or not pages:
            return []
        if how == "any":
            return [page[: random.randrange(len(page) + 1)] for page in pages]
        if how == "all but one":
            one = random.randrange(len(pages))
            pages[one] = pages[one][: random.randrange(len(pages[one]))]
        return pages
