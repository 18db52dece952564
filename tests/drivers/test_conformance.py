"""The drivers of this repository pass the suite that every driver has to pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onitufs.drivers import local_storage, memory
from onitufs.drivers.conformance.subject import Entry
from onitufs.drivers.conformance.suite import DriverConformance
from onitufs.drivers.handlers import PRIVATE, RemotePath
from onitufs.drivers.memory import service
from onitufs.model.files import Kind
from tests.disk import Disk


class TestLocalStorage(DriverConformance):
    def new_entry(self, directory: Path) -> Entry:
        root = directory / "root"
        options = local_storage.DRIVER.read_options({"root": str(root)}, directory, "")
        return Entry(driver=local_storage.DRIVER, options=options, outside=Disk(root))


class InMemory:
    """A Service as somebody else uses it."""

    def __init__(self, name: str) -> None:
        self._service = service.get(name)

    def read(self, path: RemotePath) -> bytes | None:
        node = self._service.nodes.get(path)
        return node.data if node is not None and node.kind is Kind.FILE else None

    def write(self, path: RemotePath, data: bytes) -> None:
        if path in self._service.nodes:
            self._service.edit(path, data)
        else:
            self._service.put(path, data)

    def make_directory(self, path: RemotePath) -> None:
        self._service.make_directory(path)

    def move(self, path: RemotePath, to: RemotePath) -> None:
        self._service.move(path, to)

    def remove(self, path: RemotePath) -> None:
        self._service.delete(path)

    @contextmanager
    def broken(self) -> Iterator[None]:
        self._service.list_fails_after = 5
        yield
        self._service.list_fails_after = None

    def names(self, path: RemotePath) -> set[bytes]:
        return {other[len(path)] for other in self._service.below(path)} - {PRIVATE}

    def trash(self) -> list[bytes]:
        return self._service.trash


class TestMemory(DriverConformance):
    def new_entry(self, directory: Path) -> Entry:
        options = memory.DRIVER.read_options({"service": str(directory)}, directory, "")
        return Entry(driver=memory.DRIVER, options=options, outside=InMemory(str(directory)))
