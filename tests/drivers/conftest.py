"""A small daemon for one entry: it commits Copies when the Plug reports, and knows nothing else."""

import dataclasses
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from blake3 import blake3

from onitufs.drivers import memory
from onitufs.drivers.calling import Inline
from onitufs.drivers.memory import service
from onitufs.drivers.plug import Plug
from onitufs.drivers.registry import ManifestedDriver
from onitufs.model.copies import Copy, Place
from onitufs.model.errors import Gone, Stale
from onitufs.model.files import Kind
from onitufs.model.ids import PARKING, ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.model.orders import Delete, Done, Failed, Move, Outcome, Put, SetAttributes

ENTRY = EntryName("disk")


class Bytes:
    """A Source of bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.closed = 0
        self.before_copy: Callable[[], None] = lambda: None

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def copy_into(self, fd: int, tick: Callable[[int], None] | None = None) -> bytes:
        self.before_copy()
        for offset in range(0, self.size, 1 << 20):
            left = memoryview(self.data)[offset : offset + (1 << 20)]
            while left:
                left = left[os.write(fd, left) :]
            if tick is not None:
                tick(min(offset + (1 << 20), self.size))
        return b""

    def close(self) -> None:
        self.closed += 1


class World:
    """Files with contents and wanted places; Copies as reported; one Plug."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.contents: dict[FileId, bytes] = {}
        self.wanted: dict[FileId, Place] = {}
        self.copies: dict[FileId, Copy] = {}
        self.outcomes: list[Outcome] = []
        self.identity: str | None = None
        self.sources: list[Bytes] = []
        self.on_report: Callable[[Outcome], None] = lambda _: None
        self.new_source: Callable[[Put], Any] = lambda order: Bytes(self.contents[order.file])
        self.patience_s = 20.0
        self._next = 100
        self._wake = trio.Event()

    def new_plug(self, driver: ManifestedDriver, options: Any, **more: Any) -> Plug:
        return Plug(
            ENTRY,
            driver,
            options,
            open_source=self.open_source,
            path_of=self.path_of,
            directory=self.wanted.__getitem__,
            report=self.report,
            identity=self.identity,
            remember_identity=self.remember_identity,
            work_dir=self.tmp_path / "work",
            **more,
        )

    @asynccontextmanager
    async def running(self, plug: Plug) -> AsyncIterator[Plug]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(plug.run)
            try:
                yield plug
            finally:
                nursery.cancel_scope.cancel()

    # -- what a Plug asks ---------------------------------------------------------------------------------------------

    def remember_identity(self, identity: str) -> None:
        self.identity = identity

    def open_source(self, order: Put) -> Any:
        if order.file not in self.contents:
            raise Stale("deleted meanwhile")
        source = self.new_source(order)
        self.sources.append(source)
        return source

    def path_of(self, place: Place) -> tuple[bytes, ...]:
        parts = [place.name]
        parent = place.parent
        while parent not in (ROOT_FILE, PARKING):
            if parent not in self.copies:
                raise Gone(f"no copy of directory {parent}")
            above = self.copies[parent].place
            parts.append(above.name)
            parent = above.parent
        if parent == PARKING:
            parts += [b"parked", b".onitufs"]
        return tuple(reversed(parts))

    def report(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if isinstance(outcome, Done):
            order = outcome.order
            for directory, made in outcome.made:
                if not isinstance(order, Put) or directory != order.file:
                    self.copies[directory] = self._directory_copy(directory, made)
            match order:
                case Put():
                    assert outcome.state is not None
                    self.copies[order.file] = Copy(
                        file=order.file, entry=ENTRY, kind=order.kind, place=order.place, generation=order.generation,
                        size=order.size, mtime_ns=order.mtime_ns, mode=order.mode, rev=outcome.state.rev,
                        digest=outcome.state.digest, made=dict(outcome.made).get(order.file, False),
                    )  # fmt: skip
                case Move():
                    assert outcome.state is not None
                    if order.replaces is not None:
                        self.copies.pop(order.replaces.file, None)
                    self.copies[order.file] = _changed(order.copy, place=order.place, rev=outcome.state.rev)
                case Delete():
                    del self.copies[order.file]
                case SetAttributes():
                    assert outcome.state is not None
                    self.copies[order.file] = _changed(
                        order.copy, rev=outcome.state.rev, mode=order.mode, mtime_ns=order.mtime_ns
                    )
        self.on_report(outcome)
        self._wake.set()

    def _directory_copy(self, directory: FileId, made: bool) -> Copy:
        return Copy(
            file=directory, entry=ENTRY, kind=Kind.DIRECTORY, place=self.wanted[directory], generation=GenerationId(0),
            size=0, mtime_ns=0, mode=0o755, rev="", made=made,
        )  # fmt: skip

    # -- what a test says ---------------------------------------------------------------------------------------------

    def new_directory(self, name: bytes, parent: FileId = ROOT_FILE) -> FileId:
        """A directory that is wanted there; not placed yet."""
        self._next += 1
        file = FileId(self._next)
        self.wanted[file] = Place(parent, name)
        return file

    def put(
        self, name: bytes, data: bytes, *, parent: FileId = ROOT_FILE, file: FileId | None = None, **more: Any
    ) -> Put:
        """An order to place these bytes; `file`: a new generation of that one."""
        if file is None:
            self._next += 1
            file = FileId(self._next)
        self._next += 1
        self.contents[file] = data
        fields: dict[str, Any] = {
            "entry": ENTRY, "file": file, "kind": Kind.FILE, "place": Place(parent, name),
            "generation": GenerationId(self._next), "size": len(data), "mtime_ns": 1_700_000_000_123_456_789,
            "mode": 0o640, "had": self.copies.get(file), "missing": self.missing(parent),
        }  # fmt: skip
        return Put(**(fields | more))

    def missing(self, directory: FileId) -> tuple[FileId, ...]:
        found: list[FileId] = []
        while directory not in (ROOT_FILE, PARKING) and directory not in self.copies:
            found.append(directory)
            directory = self.wanted[directory].parent
        return tuple(reversed(found))

    def move(self, file: FileId, name: bytes, *, parent: FileId = ROOT_FILE, replaces: FileId | None = None) -> Move:
        return Move(
            entry=ENTRY, file=file, copy=self.copies[file], place=Place(parent, name),
            replaces=None if replaces is None else self.copies[replaces], missing=self.missing(parent),
        )  # fmt: skip

    def delete(self, file: FileId) -> Delete:
        return Delete(entry=ENTRY, file=file, copy=self.copies[file])

    async def ended(self, count: int = 1) -> list[Outcome]:
        """The next `count` outcomes, in the order in which they came."""
        with trio.fail_after(self.patience_s):
            while len(self.outcomes) < count:
                self._wake = trio.Event()
                await self._wake.wait()
        outcomes, self.outcomes = self.outcomes, []
        return outcomes

    async def done(self, count: int = 1) -> list[Done]:
        """As `ended`; every one must be Done."""
        outcomes = await self.ended(count)
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                raise AssertionError(f"failed: {outcome.error!r}") from outcome.error
        return [outcome for outcome in outcomes if isinstance(outcome, Done)]


def _changed(copy: Copy, **fields: Any) -> Copy:
    return dataclasses.replace(copy, **fields)


def digest(data: bytes) -> bytes:
    return blake3(data).digest()


class InMemory(World):
    """A World whose entry is a Service in memory, for simulated time: nothing runs in threads."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path)
        self.service = service.get(str(tmp_path))
        self.random = Random(7)

    def plug(self, **more: Any) -> Plug:
        options = memory.DRIVER.read_options({"service": str(self.tmp_path)}, self.tmp_path, "entries.disk.options")
        return self.new_plug(memory.DRIVER, options, runner=Inline(), random=self.random, **more)

    def files(self) -> dict[tuple[bytes, ...], bytes]:
        """What the service holds of the user's files."""
        nodes = self.service.nodes.items()
        return {path: node.data for path, node in nodes if node.kind is Kind.FILE and path[0] != b".onitufs"}

    def calls(self, *names: str) -> list[tuple[str, tuple[bytes, ...]]]:
        return [call for call in self.service.calls if call[0] in names]

    def fail(self, name: str, error: Callable[[], Exception | None]) -> None:
        """Each call of that handler raises what `error` gives, if anything."""

        async def hook(what: str, path: tuple[bytes, ...]) -> None:
            if what == name and (raised := error()) is not None:
                raise raised

        self.service.hook = hook


@pytest.fixture
def memory_world(tmp_path: Path) -> InMemory:
    return InMemory(tmp_path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="session")
def memory_world_class() -> type[InMemory]:
    """For tests that need a new world for each example."""
    return InMemory
