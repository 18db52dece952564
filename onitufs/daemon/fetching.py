"""Brings bytes that are not here: by blocks for who reads, whole for who needs all.

Each block and each whole file is fetched once, however many wait for it, and goes on if they leave. Nobody waits longer
than the bounds say. What has come as a whole is given to the volume, which records it.
"""

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import trio

from onitufs.content.partial import BLOCK_BYTES, Partial
from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy, Found
from onitufs.model.digests import algorithm_of, comparable, digest_of
from onitufs.model.errors import Conflict, Gone, OnituError, ServiceError
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import GenerationId, InodeNumber
from onitufs.volume import Volume

from .holders import Holders, Wanted
from .reading_ahead import Streams

STALL_S = 10.0  # who gives nothing for so long is not waited for
BOUND_S = 30.0  # for a block
AHEAD_READS = 4  # blocks that are read ahead at one time, of all files
WHOLE_READS = 4  # blocks of one file that is fetched whole
VERIFY_S = 2.0  # what open() gives an entry to say whether it still has the bytes
SWEEP_S = 10.0
IDLE_S = 600.0  # what was half fetched is kept so long after the last read
MOST_PARTIAL = 200  # files half fetched that nobody reads at the moment

log = logging.getLogger(__name__)

_Trouble = OnituError | OSError | trio.TooSlowError


class _Under:
    """Something under way that several may wait for."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.trouble: _Trouble | None = None

    async def wait(self) -> None:
        await self.done.wait()
        if self.trouble is not None:
            raise _again(self.trouble)


class _Unanswered(Exception):
    """An entry has not said in time whether it still has what it had: no reason to think that it has not."""


class _Whole(_Under):
    def __init__(self) -> None:
        super().__init__()
        self.scope = trio.CancelScope()
        self.waiting = 0
        self.kept = False  # goes on though nobody waits


@dataclass(slots=True, eq=False)
class _Fetch:
    """A file of which some blocks are wanted."""

    number: InodeNumber
    wanted: Wanted
    partial: Partial
    under: dict[int, _Under] = field(default_factory=dict)  # by block
    streams: Streams = field(default_factory=Streams)
    end: _Under = field(default_factory=_Under)  # done: given to the volume, or abandoned
    ending: bool = False
    users: int = 0
    used_s: float = 0.0


class Fetcher:
    """See volume.absence.Far for what it offers. `holders` say whom to ask."""

    def __init__(self, volume: Volume, holders: Holders, *, stall_s: float = STALL_S, bound_s: float = BOUND_S) -> None:
        self.holders = holders
        self._volume = volume
        self._stall_s = stall_s
        self._bound_s = bound_s
        self._fetches: dict[InodeNumber, _Fetch] = {}
        self._wholes: dict[InodeNumber, _Whole] = {}
        self._looks: dict[InodeNumber, _Under] = {}
        self._ahead = trio.CapacityLimiter(AHEAD_READS)
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fetch what is asked for, until cancelled."""
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                while True:
                    await trio.sleep(SWEEP_S)
                    self.sweep()
        finally:
            self._nursery = None
            for number in list(self._fetches):
                self._drop(number)

    # -- for readers ---------------------------------------------------------------------------------------------------

    async def read(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        """See Far.read."""
        while True:
            await self._volume.space.room_for(1)
            fetch = self._fetch(number)
            if fetch is None:
                return None
            await self._ensure(fetch, offset, length)
            if not fetch.end.done.is_set():
                return fetch.partial.read(offset, length)

    async def ensure(self, number: InodeNumber, offset: int, length: int) -> None:
        """Return when these bytes of an absent file are here. Raises as Far.read."""
        await self._volume.space.room_for(1)
        fetch = self._fetch(number)
        if fetch is not None:
            await self._ensure(fetch, offset, length)

    async def head(self, number: InodeNumber, length: int) -> bytes | None:
        """The first bytes of an absent file, asked for on purpose and kept nowhere; None if it is here by now.

        Raises as Far.read.
        """
        inode = self._volume.peek(number)
        if not inode.absent:
            return None

        async def read(plug: Plug, path: RemotePath, copy: Copy) -> bytes:
            return await self._read(plug, path, copy, 0, min(length, inode.size))

        return await self.holders.ask(_wanted(inode), read) if inode.size else b""

    async def verify(self, number: InodeNumber) -> None:
        """See Far.verify. Waits for an answer for VERIFY_S at most; for a change to be taken over, as Holders.ask."""
        look = self._looks.get(number)
        if look is None:
            inode = self._volume.peek(number)
            if not inode.absent or not self.holders.can_answer(_wanted(inode)):
                return
            look = self._looks[number] = _Under()
            self._start(self._look, inode, look)
        try:
            await look.wait()
        except (ServiceError, trio.TooSlowError):
            return

    async def _look(self, inode: Inode, look: _Under) -> None:
        async def at(plug: Plug, path: RemotePath, copy: Copy) -> None:
            found: Found | None = None
            with trio.move_on_after(VERIFY_S) as scope:
                found = await plug.look(path)
            if scope.cancelled_caught:
                raise _Unanswered
            if found is None:
                raise Gone(f"nothing is there any more for inode {inode.number}")
            if found.kind is not Kind.FILE or found.state.rev != copy.rev:
                raise Conflict(f"it has rev {found.state.rev}, not {copy.rev}")

        with _telling(look), contextlib.suppress(_Unanswered):
            await self.holders.ask(_wanted(inode), at)
        del self._looks[inode.number]
        look.done.set()

    async def fetch_all(self, number: InodeNumber) -> None:
        """See Far.fetch_all. If all who wait are cancelled, so is the fetch."""
        whole = self._whole(number)
        whole.waiting += 1
        try:
            await whole.wait()
        finally:
            whole.waiting -= 1
            if not whole.waiting and not whole.kept:
                whole.scope.cancel()

    def want(self, number: InodeNumber) -> None:
        """See Far.want."""
        self._whole(number).kept = True

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _fetch(self, number: InodeNumber) -> _Fetch | None:
        """The fetch of an absent file, begun if need be; None if the file is here. Raises NoInode, NoSpace, OSError."""
        fetch = self._fetches.get(number)
        if fetch is not None:
            return fetch
        inode = self._volume.peek(number)
        if not inode.absent:
            return None
        content, fd = self._volume.begin_fetch()
        fetch = self._fetches[number] = _Fetch(number, _wanted(inode), Partial(content, fd, inode.size))
        return fetch

    async def _ensure(self, fetch: _Fetch, offset: int, length: int) -> None:
        partial = fetch.partial
        blocks = partial.blocks(offset, length)
        under = [self._block(fetch, block) for block in blocks if not partial.has(block)]
        for block in partial.blocks(*fetch.streams.ahead(offset, length)):
            if not partial.has(block):
                self._block(fetch, block, ahead=True)
        fetch.used_s = trio.current_time()
        fetch.users += 1
        try:
            for one in under:
                await one.wait()
            if partial.whole:
                self._end(fetch)
        finally:
            fetch.users -= 1

    def _block(self, fetch: _Fetch, block: int, *, ahead: bool = False) -> _Under:
        under = fetch.under.get(block)
        if under is None:
            under = fetch.under[block] = _Under()
            self._start(self._bring, fetch, block, under, ahead)
        return under

    async def _bring(self, fetch: _Fetch, block: int, under: _Under, ahead: bool) -> None:
        offset, length = fetch.partial.span(block)

        async def read(plug: Plug, path: RemotePath, copy: Copy) -> bytes:
            return await self._read(plug, path, copy, offset, length)

        with _telling(under), trio.fail_after(self._bound_s):
            await self._volume.space.room_for(length)
            if ahead:
                async with self._ahead:
                    data = await self.holders.ask(fetch.wanted, read)
            else:
                data = await self.holders.ask(fetch.wanted, read)
            if not fetch.end.done.is_set():
                fetch.partial.put(block, data)
                self._volume.space.take(length, late=True)
        del fetch.under[block]
        under.done.set()
        if fetch.partial.whole:
            self._end(fetch)

    async def _read(self, plug: Plug, path: RemotePath, copy: Copy, offset: int, length: int) -> bytes:
        began_s = trio.current_time()
        with trio.fail_after(self._stall_s):
            data = await plug.read(path, copy.rev, offset, length)
        if len(data) != length:
            raise Conflict(f"{len(data)} bytes at {offset} instead of {length}")
        self.holders.measured(copy.entry, length, trio.current_time() - began_s)
        return data

    def _end(self, fetch: _Fetch) -> None:
        """All blocks are here."""
        if not fetch.ending:
            fetch.ending = True
            self._start(self._hand_over, fetch)

    async def _hand_over(self, fetch: _Fetch) -> None:
        fetch.users += 1
        content, wanted = fetch.partial.content, fetch.wanted
        with _telling(fetch.end):
            wrong = await self._wrong(fetch)
            if fetch.end.done.is_set():
                return
            for copy in wrong:
                self.holders.changed(copy)
            del self._fetches[fetch.number]
            fetch.partial.close()
            if wrong:
                self._volume.abandon(content)
            else:
                self._volume.arrived(fetch.number, wanted.generation, content)
        fetch.end.done.set()

    async def _wrong(self, fetch: _Fetch) -> list[Copy]:
        """If what has come is not what the Copies say: those of which that is known."""
        known = [copy for copy in self.holders.of(fetch.wanted) if copy.digest]
        if not known:
            return []
        fd = os.dup(fetch.partial.fd)
        try:
            digests = {
                algorithm: await trio.to_thread.run_sync(digest_of, partial(_read, fd), algorithm)
                for algorithm in {algorithm_of(copy.digest) for copy in known}
            }
        finally:
            os.close(fd)
        return [copy for copy in known if copy.digest != digests[algorithm_of(copy.digest)]]

    # -- whole files ---------------------------------------------------------------------------------------------------

    def _whole(self, number: InodeNumber) -> _Whole:
        whole = self._wholes.get(number)
        if whole is None or whole.scope.cancel_called:
            whole = self._wholes[number] = _Whole()
            self._start(self._bring_whole, number, whole)
        return whole

    async def _bring_whole(self, number: InodeNumber, whole: _Whole) -> None:
        with _telling(whole), whole.scope:
            while (inode := self._volume.peek(number)).absent:
                await self._volume.space.room_for(inode.size)
                fetch = self._fetches.get(number)
                if inode.size > BLOCK_BYTES and (fetch is None or (fetch.partial.empty and not fetch.under)):
                    await self._by_file(inode)
                else:
                    await self._by_blocks(number)
        if self._wholes.get(number) is whole:
            del self._wholes[number]
        whole.done.set()

    async def _by_blocks(self, number: InodeNumber) -> None:
        fetch = self._fetch(number)
        if fetch is None:
            return
        partial = fetch.partial
        fetch.users += 1
        try:
            for block in range(-(-partial.size // BLOCK_BYTES)):
                for near in range(block, block + WHOLE_READS):
                    if near * BLOCK_BYTES < partial.size and not partial.has(near):
                        self._block(fetch, near)
                if not partial.has(block):
                    await fetch.under[block].wait()
            self._end(fetch)
            await fetch.end.wait()
        finally:
            fetch.users -= 1

    async def _by_file(self, inode: Inode) -> None:
        wanted = _wanted(inode)

        async def fetch(plug: Plug, path: RemotePath, copy: Copy) -> None:
            attempt = _Attempt(self._volume, inode, plug, path, copy)
            began_s = trio.current_time()
            self._start(attempt.run)
            await attempt.ended_or_stalled(self._stall_s)
            self.holders.measured(copy.entry, inode.size, trio.current_time() - began_s)

        await self.holders.ask(wanted, fetch)
        if inode.number in self._fetches and not self._volume.is_absent(inode.number, inode.generation):
            self._drop(inode.number)

    # -- the end -------------------------------------------------------------------------------------------------------

    @property
    def half_fetched(self) -> int:
        """How many files are here in part."""
        return len(self._fetches)

    def sweep(self) -> None:
        """Let go of what was half fetched, if nobody reads it any more or it is of no use."""
        idle = sorted((f for f in self._fetches.values() if not f.users and not f.under), key=lambda f: f.used_s)
        spare, now_s = len(idle) - MOST_PARTIAL, trio.current_time()
        for at, fetch in enumerate(idle):
            useless = not self._volume.is_absent(fetch.number, fetch.wanted.generation)
            if useless or at < spare or now_s - fetch.used_s >= IDLE_S:
                self._drop(fetch.number)

    def _drop(self, number: InodeNumber) -> None:
        fetch = self._fetches.pop(number)
        fetch.end.done.set()
        fetch.partial.close()
        self._volume.abandon(fetch.partial.content)

    def _start(self, task: Callable[..., object], *args: object) -> None:
        if self._nursery is None:
            raise ServiceError("nothing is fetched while the daemon ends")
        self._nursery.start_soon(task, *args)  # type: ignore[arg-type]


class _Attempt:
    """One whole file from one holder. What hangs in a thread is not waited for, but it keeps its descriptor."""

    def __init__(self, volume: Volume, inode: Inode, plug: Plug, path: RemotePath, copy: Copy) -> None:
        self._volume = volume
        self._number = inode.number
        self._generation: GenerationId = inode.generation
        self._size = inode.size
        self._plug = plug
        self._path = path
        self._copy = copy
        self._scope = trio.CancelScope()
        self._under = _Under()
        self._written = 0

    async def ended_or_stalled(self, stall_s: float) -> None:
        """Wait for the end of `run`. Raises what it raised; trio.TooSlowError if nothing comes for too long."""
        try:
            while not self._under.done.is_set():
                before = self._written
                with trio.move_on_after(stall_s):
                    await self._under.done.wait()
                if not self._under.done.is_set() and self._written == before:
                    raise trio.TooSlowError
            await self._under.wait()
        finally:
            self._scope.cancel()

    async def run(self) -> None:
        with _telling(self._under), self._scope:
            content, fd = self._volume.begin_fetch()
            try:
                await self._into(fd)
                os.close(fd)
                fd = -1
            except BaseException:
                os.close(fd)
                self._volume.abandon(content)
                raise
            self._volume.arrived(self._number, self._generation, content)
        if self._scope.cancelled_caught:
            self._under.trouble = trio.TooSlowError()
        self._under.done.set()

    async def _into(self, fd: int) -> None:
        copy = self._copy

        def tick(written: int) -> None:  # in a thread
            self._written = written

        digest = await self._plug.fetch(self._path, copy.rev, fd, tick, file=copy.file, size=self._size)
        if os.fstat(fd).st_size != self._size:
            raise Conflict("it has another size than was known")
        if copy.digest:
            if not comparable(digest, copy.digest):
                algorithm = algorithm_of(copy.digest)
                digest = await trio.to_thread.run_sync(digest_of, partial(_read, fd), algorithm)
            if digest != copy.digest:
                raise Conflict("its bytes are not those that were known")


class _telling:  # noqa: N801  used like a function
    """What goes wrong inside is told to whoever waits, and ends here; a bug is logged first."""

    def __init__(self, under: _Under) -> None:
        self._under = under

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> bool:
        if error is None:
            return False
        if isinstance(error, OnituError | OSError | trio.TooSlowError):
            self._under.trouble = error
            return True
        self._under.trouble = ServiceError("the daemon ends")
        if not isinstance(error, Exception):
            self._under.done.set()
            return False
        log.error("fetching failed", exc_info=error)
        self._under.trouble = OSError(errno.EIO, os.strerror(errno.EIO))
        return True


def _again(trouble: _Trouble) -> _Trouble:
    """The same for one more who waits: an exception that is raised twice collects the tracebacks of both."""
    if isinstance(trouble, OSError):
        return OSError(trouble.errno, trouble.strerror)
    return type(trouble)(*trouble.args)


def _wanted(inode: Inode) -> Wanted:
    return Wanted(inode.files, inode.generation)


def _read(fd: int, offset: int, length: int) -> bytes:
    return os.pread(fd, length, offset)
