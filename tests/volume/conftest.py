"""A real volume in a fresh directory, and a way to kill its daemon and start it again."""

import shutil
from pathlib import Path

import pytest

from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.model.ids import ROOT_INODE, FileId
from onitufs.volume import Volume
from onitufs.volume.space import Space

_OPEN: list[tuple[Catalog, ContentStore]] = []


def end_all() -> None:
    """Close what all Lives hold, those of the killed too: a process may have only so many files open."""
    for catalog, content in _OPEN:
        catalog.close()
        content.close()
    _OPEN.clear()


class Life:
    """One state directory and the volume that serves it now."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.told: list[FileId] = []
        self.start()

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.content = ContentStore(self.directory / "content")
        self.catalog = Catalog.open(self.directory / "catalog", self.content)
        _OPEN.append((self.catalog, self.content))
        self.volume = Volume(self.catalog, self.content, Space(self.directory), owner=(0, 0))
        self.volume.changed = lambda file, why: self.told.append(file)
        self.volume.recover()

    def kill(self) -> None:
        """Go on with a copy of the state as a killed daemon leaves it: nothing was closed, no lock is held."""
        left = self.directory
        self.directory = left.with_name(left.name + "+")
        shutil.copytree(left, self.directory)
        self.told = []
        self.start()

    def make(self, name: bytes, data: bytes = b"", parent: int = ROOT_INODE) -> FileId:
        """Save a file as a program does: create, write, close."""
        inode, handle = self.volume.create(parent, name, 0o644, 0, 0)  # type: ignore[arg-type]
        if data:
            self.volume.write(handle, 0, data)
        self.volume.flush(handle)
        self.volume.release(handle)
        return inode.files[0]

    def read(self, name: bytes, parent: int = ROOT_INODE) -> bytes:
        inode = self.volume.lookup(parent, name)  # type: ignore[arg-type]
        assert inode is not None
        handle = self.volume.open(inode.number, write=False)
        try:
            return self.volume.read(handle, 0, inode.size)
        finally:
            self.volume.release(handle)


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path / "state")
