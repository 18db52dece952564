"""A directory as any program sees it: the outside of entries that keep their files in one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onitufs.drivers.handlers import PRIVATE, RemotePath


class Disk:
    """A directory as any program sees it."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)

    def _path(self, path: RemotePath) -> bytes:
        return b"/".join((self._root, *path))

    def read(self, path: RemotePath) -> bytes | None:
        try:
            with open(self._path(path), "rb") as file:
                return file.read()
        except (FileNotFoundError, IsADirectoryError):
            return None

    def write(self, path: RemotePath, data: bytes) -> None:
        with open(self._path(path), "wb") as file:
            file.write(data)

    def make_directory(self, path: RemotePath) -> None:
        os.mkdir(self._path(path))

    def names(self, path: RemotePath) -> set[bytes]:
        return set(os.listdir(self._path(path))) - {PRIVATE}

    def move(self, path: RemotePath, to: RemotePath) -> None:
        os.rename(self._path(path), self._path(to))

    def remove(self, path: RemotePath) -> None:
        where = self._path(path)
        if os.path.isdir(where):
            shutil.rmtree(where)
        else:
            os.unlink(where)

    @contextmanager
    def broken(self) -> Iterator[None]:
        """The disk is not there: what is seen is the empty mount point."""
        os.rename(self._root, self._root + b" unmounted")
        os.mkdir(self._root)
        yield
        os.rmdir(self._root)
        os.rename(self._root + b" unmounted", self._root)

    def trash(self) -> list[bytes]:
        found = []
        for directory, _, names in os.walk(self._path((PRIVATE, b"trash"))):
            for name in names:
                content = self.read((os.path.join(directory, name)[len(self._root) + 1 :],))
                assert content is not None
                found.append(content)
        return found
