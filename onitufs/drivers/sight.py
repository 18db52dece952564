"""What an entry holds, as the rest of the program sees it through a Plug: lists, states, bytes, changes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import trio

from onitufs.model.errors import Conflict, DriverError, Gone, ServiceError
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName, FileId

from .bandwidth import Buckets
from .calling import Handlers, Runner, Threads
from .digesting import digest_there
from .handlers import Found, RemotePath, Sighted
from .health import Health
from .looking import Lookers, Passing, SessionEnded
from .progress import Fetch, Transfer, keep_to
from .registry import ManifestedDriver

T = TypeVar("T")

QUICK, LISTS, HASHES, READS, FETCHES = 4, 2, 2, 8, 4
"""How many of each kind look at one time; each kind in threads of its own, beside the work's."""


class Sight:
    """The looking side of a Plug. Every method but `can` raises DriverError; ServiceError while not connected.

    Who looks is ended with the session. What fails because the whole entry is in trouble ends the session, too; what
    concerns one path does not. `runner`: makes all blocking calls, in place of threads.
    """

    def __init__(
        self,
        entry: EntryName,
        driver: ManifestedDriver,
        health: Health,
        runner: Runner | None,
        bandwidth: Buckets,
    ) -> None:
        self.entry = entry
        self.bandwidth = bandwidth
        self.driver = driver
        self.health = health
        self.transfers: list[Transfer] = []
        self._quick = _Slots(QUICK, runner)
        self._lists = _Slots(LISTS, runner)
        self._hashes = _Slots(HASHES, runner)
        self._reads = _Slots(READS, runner)
        self._fetches = _Slots(FETCHES, runner)
        self._lookers: Lookers | None = None
        self._came_up = trio.Event()

    def _looking(self, handlers: Handlers) -> Handlers:
        """The handlers as those have them who look."""
        return handlers.by(self._quick.runner)

    def _begin_looking(self, lookers: Lookers) -> None:
        self._lookers = lookers
        self._came_up.set()

    async def _end_looking(self, lookers: Lookers) -> None:
        self._lookers = None
        if self._came_up.is_set():  # who waits since an earlier session waits for this very event
            self._came_up = trio.Event()
        await lookers.end()

    def can(self, ability: str) -> bool:
        """Whether the driver's manifest says so."""
        return ability in self.driver.manifest.abilities

    @property
    def is_connected(self) -> bool:
        """Whether who looks now can have an answer; see connected()."""
        return self._lookers is not None

    async def connected(self) -> None:
        """Until the entry is connected, and its unfinished orders of an earlier run are reported."""
        while self._lookers is None:
            await self._came_up.wait()

    async def look(self, path: RemotePath) -> Found | None:
        """What stands at a path; None if the service says that nothing does. () is the root."""
        found: Found | None = await self._run(self._quick, lambda handlers: handlers.look("stat", path))
        return found

    async def look_at(self, paths: Sequence[RemotePath]) -> list[Found | DriverError | None]:
        """As look() at each of many paths, for less than their sum; in place of an answer, the error that it raises."""

        async def look(handlers: Handlers) -> list[Found | DriverError | None]:
            if handlers.has("stat_many"):
                together: list[Found | DriverError | None] = await handlers.look("stat_many", paths)
                return together
            return await handlers.look_each("stat", paths)

        return await self._run(self._quick, look)

    async def list_directory(self, path: RemotePath) -> list[tuple[bytes, Found]]:
        """All names in a directory: complete, or an error is raised. Gone if there is none."""
        self._require("list", "list directories")
        found: list[tuple[bytes, Found]] = await self._run(
            self._lists, lambda handlers: handlers.look("list_directory", path)
        )
        return found

    async def digest(
        self, path: RemotePath, kind: Kind, *, algorithm: str | None = None, by_reading: bool = False
    ) -> Found | None:
        """What stands at a path, with the digest of a file's content as the service has it now. None: nothing, or
        something of another kind.

        `by_reading`: all of it is read where the driver cannot tell its digest, or not by `algorithm`, if one is named;
        else the digest is then b"", or of another algorithm.
        """
        wanted = algorithm if algorithm is not None else self.driver.manifest.digest

        async def look(handlers: Handlers) -> Found | None:
            found: Found | None = await handlers.look("stat", path)
            if found is None or found.kind is not kind:
                return None
            if kind is Kind.FILE:
                try:
                    digest = await digest_there(handlers, handlers.look, path, found, wanted, by_reading=by_reading)
                except (Gone, Conflict):
                    return None
                found = replace(found, state=replace(found.state, digest=digest))
            return found

        return await self._run(self._hashes, look)

    async def read(self, path: RemotePath, rev: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end. Raises Gone; Conflict if it is not that rev."""
        self._require("read", "read parts of files")
        data: bytes = await self._run(
            self._reads, lambda handlers: handlers.look("get_chunk", path, rev, offset, length)
        )
        return data

    @property
    def reads_many(self) -> bool:
        """Whether many small files come for less than their sum."""
        lookers = self._lookers
        return lookers is not None and lookers.handlers.has("read_many")

    async def read_many(self, wanted: Sequence[tuple[RemotePath, str]]) -> list[bytes | DriverError]:
        """All bytes of each of these small files of that path and rev, or what read() would raise; see reads_many."""
        self._require("read", "read files")
        data: list[bytes | DriverError] = await self._run(
            self._reads, lambda handlers: handlers.look("read_many", wanted)
        )
        return data

    async def fetch(
        self,
        path: RemotePath,
        rev: str,
        fd: int,
        tick: Callable[[int], None],
        *,
        file: FileId | None = None,
        size: int = 0,
    ) -> bytes:
        """Write a whole file into `fd`, from its beginning on; its digest if that was computed on the way, else b"".

        `tick` gets the bytes written so far, in a thread; what it raises ends the fetch, and is raised here. `file` and
        `size`, in bytes, are for `transfers` only. Raises Gone; Conflict if it is not that rev, or changed meanwhile;
        OSError if `fd` cannot be written.
        """
        self._require("read", "read files")
        transfer = Transfer(Fetch(file, path), size, trio.current_time)

        async def fetch(handlers: Handlers) -> bytes:
            own: list[Exception] = []

            def count(written: int) -> None:
                moved, transfer.bytes = written - transfer.bytes, written
                handlers.runner.check_cancelled()
                keep_to(self.bandwidth.down, moved, handlers.runner)
                try:
                    tick(written)
                except Exception as exc:
                    own.append(exc)
                    raise

            await self.bandwidth.down.turn()
            try:
                digest: bytes = await _passing(own, handlers.call("get_file", path, rev, fd, count))
            except OSError as exc:
                raise Passing(exc) from exc
            return digest

        self.transfers.append(transfer)
        try:
            return await self._run(self._fetches, fetch)
        finally:
            self.transfers.remove(transfer)

    async def watch(self, cursor: str | None, tell: Callable[[Sighted], Awaitable[None]]) -> None:
        """Tell what changes, until cancelled or the session ends: then ServiceError. As Watches.watch says."""
        self._require("watch", "watch for changes")

        async def watch(handlers: Handlers) -> None:
            own: list[Exception] = []

            async def tell_it(sighted: Sighted) -> None:
                try:
                    await tell(sighted)
                except Exception as exc:
                    own.append(exc)
                    raise

            await _passing(own, handlers.call("watch", cursor, tell_it))

        await self._run(None, watch)
        raise ServiceError(f"entry {self.entry} stopped telling what changes")

    def _require(self, ability: str, what: str) -> None:
        if not self.can(ability):
            raise ServiceError(f"entry {self.entry}: driver {self.driver.name} cannot {what}")

    async def _run(self, slots: "_Slots | None", look: Callable[[Handlers], Awaitable[T]]) -> T:
        lookers = self._lookers
        if lookers is not None:

            async def run() -> T:
                if slots is None:
                    return await look(lookers.handlers)
                async with slots.free:
                    return await look(lookers.handlers.by(slots.runner))

            try:
                return await lookers.run(run)
            except SessionEnded:
                pass
        raise ServiceError(f"entry {self.entry} is {self.health.state}: {self.health.message or 'not connected'}")


class _Slots:
    """How many of a kind look at one time, and the threads they do it in."""

    def __init__(self, count: int, runner: Runner | None) -> None:
        self.free = trio.Semaphore(count)
        self.runner: Runner = runner if runner is not None else Threads(count)


async def _passing(own: list[Exception], call: Awaitable[T]) -> T:
    """What a call to a driver answers; raises the caller's own error as itself, however the driver wrapped it."""
    try:
        return await call
    except Exception as exc:
        if own:
            raise Passing(own[0]) from exc
        raise
