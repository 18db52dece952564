"""A driver under test, and what somebody else sees of its service and does to it."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import trio

from onitufs.drivers.calling import Handlers, Threads
from onitufs.drivers.handlers import Gear, RemotePath, Upload
from onitufs.drivers.registry import ManifestedDriver
from onitufs.model.copies import RemoteState
from onitufs.model.ids import EntryName

MTIME_NS = 1_600_000_000_123_456_789


class Outside(Protocol):
    """The service as another program uses it, past the driver. Plain calls; `read` is also called in a thread."""

    def read(self, path: RemotePath) -> bytes | None:
        """Content of the file at a path, in one piece; None if there is no file."""
        ...

    def write(self, path: RemotePath, data: bytes) -> None:
        """Make or change a file. The directory above is there. Where the service keeps whole seconds (`mtime_s`), each
        content has another one: what changes within a second and keeps its size cannot be seen there."""
        ...

    def make_directory(self, path: RemotePath) -> None: ...

    def names(self, path: RemotePath) -> set[bytes]:
        """What stands in a directory, but for the driver's private names."""
        ...

    def move(self, path: RemotePath, to: RemotePath) -> None:
        """Rename a file or directory to a free name."""
        ...

    def remove(self, path: RemotePath) -> None:
        """Remove a file, or a directory with all that is in it."""
        ...

    def broken(self) -> AbstractContextManager[None]:
        """While inside, the service is in such trouble that the root cannot be listed completely."""
        ...

    def trash(self) -> list[bytes] | None:
        """Contents of what was replaced or deleted; None if the driver has not the ability `trash`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One place for one check: nothing is in it. `options` as the driver's own options class."""

    driver: ManifestedDriver
    options: Any
    outside: Outside


class Bytes:
    """A Source. `at_half` is called once half of it was read."""

    def __init__(self, data: bytes, at_half: Callable[[], None] | None = None) -> None:
        self.size = len(data)
        self._data = data
        self._at_half = at_half

    def _reached(self, offset: int) -> None:
        if self._at_half is not None and offset * 2 >= self.size:
            at_half, self._at_half = self._at_half, None
            at_half()

    def read(self, offset: int, length: int) -> bytes:
        self._reached(offset + length)
        return self._data[offset : offset + length]

    def copy_into(self, fd: int, tick: Callable[[int], None] | None = None) -> bytes:
        for offset in range(0, self.size, 1 << 16):
            left = memoryview(self._data)[offset : offset + (1 << 16)]
            while left:
                left = left[os.write(fd, left) :]
            self._reached(offset + (1 << 16))
            if tick is not None:
                tick(min(self.size, offset + (1 << 16)))
        return b""

    def close(self) -> None:
        pass


class Subject:
    """A connected driver. The methods are the handlers, with a short hand for uploads."""

    def __init__(self, handlers: Handlers, entry: Entry, identity: str, hints: "Hints") -> None:
        self.hints = hints
        self.handlers = handlers
        self.call = handlers.call
        self.outside = entry.outside
        self.abilities = entry.driver.manifest.abilities
        self.identity = identity

    def kept_time(self, mtime_ns: int) -> int:
        """What the service makes of a time."""
        return mtime_ns // 10**9 * 10**9 if "mtime_s" in self.abilities else mtime_ns

    async def put(self, path: RemotePath, data: bytes, base: str | None = None, mode: int = 0o644) -> RemoteState:
        state: RemoteState = await self.call("upload_file", upload(path, data, base, mode), Bytes(data))
        return state


def upload(path: RemotePath, data: bytes, base: str | None = None, mode: int = 0o644) -> Upload:
    return Upload(path=path, size=len(data), mtime_ns=MTIME_NS, mode=mode, base=base)


Hints = list[tuple[str, str]]


def new_driver(entry: Entry, work_dir: Path, identity: str | None = None, hints: Hints | None = None) -> Handlers:
    """A driver object that is not connected. `hints`: gets what it gives Gear.hint."""
    threads = Threads(8)
    gear = Gear(
        entry=EntryName("conformance"),
        identity=identity,
        work_dir=work_dir,
        now_s=lambda: 1_700_000_000.0,
        check_cancelled=threads.check_cancelled,
        run=threads.run,
        hint=lambda message, remedy: None if hints is None else hints.append((message, remedy)),
    )
    return Handlers(entry.driver.load()(entry.options, gear), threads)


@asynccontextmanager
async def connected(entry: Entry, work_dir: Path, identity: str | None = None) -> AsyncIterator[Subject]:
    hints: Hints = []
    handlers = new_driver(entry, work_dir, identity, hints)
    try:
        yield Subject(handlers, entry, await handlers.call("connect"), hints)
    finally:
        with trio.CancelScope(shield=True):
            await handlers.call("close")
