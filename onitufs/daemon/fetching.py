"""Brings bytes that are not here: by blocks for who reads, whole for who needs all.

Each block and each whole file is fetched once, however many wait for it, and goes on if they leave. Nobody waits longer
than the bounds say. What has come as a whole is given to the volume, which records it.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from onitufs.content.partial import BLOCK_BYTES, Partial
from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy
from onitufs.model.errors import Conflict, ServiceError
from onitufs.model.files import Inode
from onitufs.model.ids import EntryName, InodeNumber
from onitufs.volume import Volume

from .attempts import Attempt, is_any_of
from .holders import Holders, Wanted, wanted_of
from .neighbours import Neighbours
from .reading_ahead import MOST_AHEAD, PIECE_S, Streams, ahead_of, around, piece_of
from .speeds import Speed
from .under_way import Under, telling
from .verifying import Verifier

STALL_S = 10.0  # who gives nothing for so long is not waited for
BOUND_S = 30.0  # for a block
AHEAD_READS = 6  # calls to one entry at one time that nobody waits for yet; a Plug makes more, for those who wait
WHOLE_READS = 4  # calls at one time for one file that is fetched whole
ONE_CALL_BYTES = 1 << 20  # a file up to this size is fetched by one call for a range, if the entry is not slow
SWEEP_S = 10.0
IDLE_S = 600.0  # what was half fetched is kept so long after the last read
MOST_PARTIAL = 200  # files half fetched that nobody reads at the moment


class _Whole(Under):
    def __init__(self) -> None:
        super().__init__()
        self.scope = trio.CancelScope()
        self.waiting = 0
        self.kept = False  # goes on though nobody waits


class _Piece(Under):
    """Some blocks that are asked for in one call; `ahead`: before anybody waits for them."""

    def __init__(self, ahead: bool) -> None:
        super().__init__()
        self.ahead = ahead


@dataclass(slots=True, eq=False)
class _Fetch:
    """A file of which some blocks are wanted. `speed`: what is expected of who gives them."""

    number: InodeNumber
    wanted: Wanted
    partial: Partial
    speed: Speed
    under: "dict[int, _Piece]" = field(default_factory=dict)  # by block
    streams: Streams = field(default_factory=Streams)
    end: Under = field(default_factory=Under)  # done: given to the volume, or abandoned
    ending: bool = False
    givers: set[EntryName] = field(default_factory=set)
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
        self._verifier = Verifier(holders, self._start)
        self._each_alone: set[InodeNumber] = set()  # ranges of several holders did not make up the file
        self._ahead: defaultdict[EntryName, trio.CapacityLimiter] = defaultdict(
            lambda: trio.CapacityLimiter(AHEAD_READS)
        )
        self._neighbours = Neighbours(
            volume, holders, self._start, self._is_under_way, self._ahead.__getitem__, stall_s=stall_s, bound_s=bound_s
        )
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
            if number in self._each_alone:
                await self.fetch_all(number)
                continue
            await self._ensure(fetch, offset, length)
            if not fetch.end.done.is_set():
                return fetch.partial.read(offset, length)

    async def ensure(self, number: InodeNumber, offset: int, length: int) -> None:
        """Return when these bytes of an absent file are here. Raises as Far.read."""
        await self._volume.space.room_for(1)
        fetch = self._fetch(number)
        if fetch is not None:
            await self._ensure(fetch, offset, length)

    async def glance(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        """See Far.glance. Who reads to keep goes first."""
        fetch = self._fetches.get(number)
        if fetch is not None and all(fetch.partial.has(block) for block in fetch.partial.blocks(offset, length)):
            return fetch.partial.read(offset, length)
        inode = self._volume.peek(number)
        if not inode.absent:
            return None
        wanted = max(0, min(length, inode.size - offset))

        async def call(plug: Plug, path: RemotePath, copy: Copy) -> bytes:
            async with self._ahead[copy.entry]:
                return await self._read(plug, path, copy, offset, wanted)

        with trio.fail_after(self._bound_s):
            return await self.holders.ask(wanted_of(inode), call) if wanted else b""

    async def verify(self, number: InodeNumber) -> None:
        """See Far.verify."""
        await self._verifier.verify(self._volume.peek(number))

    async def fetch_all(self, number: InodeNumber) -> None:
        """See Far.fetch_all. If all who wait are cancelled, so is the fetch."""
        await self._neighbours.arrival(number)
        inode = self._volume.peek(number)
        if not inode.absent:
            return
        whole = self._whole(number)
        self._neighbours.wanted(inode)
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

    def _is_under_way(self, number: InodeNumber) -> bool:
        return number in self._wholes or number in self._fetches

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _fetch(self, number: InodeNumber) -> _Fetch | None:
        """The fetch of an absent file, begun if need be; None if the file is here. Raises NoInode, NoSpace, OSError."""
        fetch = self._fetches.get(number)
        if fetch is not None:
            return fetch
        inode = self._volume.peek(number)
        if not inode.absent:
            return None
        wanted = wanted_of(inode)
        speed = self.holders.expected(wanted)
        content, fd = self._volume.begin_fetch()
        fetch = _Fetch(number, wanted, Partial(content, fd, inode.size), speed)
        self._fetches[number] = fetch
        return fetch

    async def _ensure(self, fetch: _Fetch, offset: int, length: int) -> None:
        partial = fetch.partial
        stream = fetch.streams.reads(offset, length)
        ahead = ahead_of(stream, fetch.speed)
        most = piece_of(ahead, fetch.speed)
        blocks = partial.blocks(offset, length)
        self._demand(fetch, blocks, most)
        if ahead:
            after = partial.blocks(offset + length, ahead)
            after = range(max(blocks.stop, after.start, stream.reached), after.stop)
            at_end = after.stop * BLOCK_BYTES >= partial.size
            for piece in partial.missing(after, fetch.under, most) if at_end or len(after) >= most else ():
                if at_end or len(piece) == most:  # else it is worth no call yet
                    self._begin(fetch, piece, ahead=True)
                    stream.reached = piece.stop
        fetch.used_s = trio.current_time()
        fetch.users += 1
        try:
            for block in blocks:
                if not partial.has(block):
                    await self._wait_for(fetch, block, most)
            if partial.whole:
                self._end(fetch)
        finally:
            fetch.users -= 1

    async def _wait_for(self, fetch: _Fetch, block: int, most: int) -> None:
        under = fetch.under.get(block)
        if under is not None and under.ahead:
            await under.done.wait()
            if fetch.partial.has(block) or fetch.end.done.is_set():
                return
            self._demand(
                fetch, range(block, block + 1), most
            )  # what went wrong before anybody waited counts for nothing
            under = fetch.under.get(block)
        if under is not None:
            await under.wait()

    def _demand(self, fetch: _Fetch, blocks: range, most: int) -> None:
        if not blocks:
            return
        grain, last = around(fetch.speed), fetch.partial.blocks(0, fetch.partial.size).stop
        near = range(blocks.start // grain * grain, min(-(-blocks.stop // grain) * grain, last))
        for piece in fetch.partial.missing(near, fetch.under, most):
            if piece.start < blocks.stop and piece.stop > blocks.start:
                self._begin(fetch, piece)

    def _begin(self, fetch: _Fetch, blocks: range, *, ahead: bool = False) -> None:
        under = _Piece(ahead)
        fetch.under.update(dict.fromkeys(blocks, under))
        self._start(self._bring, fetch, blocks, under)

    async def _bring(self, fetch: _Fetch, blocks: range, under: "_Piece") -> None:
        offset, length = fetch.partial.span(blocks)

        async def call(plug: Plug, path: RemotePath, copy: Copy) -> bytes:
            async with self._ahead[copy.entry] if under.ahead else contextlib.nullcontext():
                self.holders.need_no_silence(copy)  # who waited for those before need not wait as long as they did
                data = await self._read(plug, path, copy, offset, length)
            fetch.givers.add(copy.entry)
            return data

        with telling(under), trio.fail_after(self._bound_s):
            await self._volume.space.room_for(length)
            data = await self.holders.ask(fetch.wanted, call)
            if not fetch.end.done.is_set():
                fetch.partial.put(blocks, data)
                self._volume.space.take(length, late=True)
                if not fetch.partial.whole:
                    fetch.speed = self.holders.expected(fetch.wanted)
        for block in blocks:
            del fetch.under[block]
        under.done.set()
        if fetch.partial.whole:
            self._end(fetch)

    async def _read(self, plug: Plug, path: RemotePath, copy: Copy, offset: int, length: int) -> bytes:
        with self.holders.measuring(copy.entry, length), self.holders.patient(copy.entry, self._stall_s):
            data = await plug.read(path, copy.rev, offset, length)
            if len(data) != length:
                raise Conflict(f"{len(data)} bytes at {offset} instead of {length}")
        return data

    def _end(self, fetch: _Fetch) -> None:
        """All blocks are here."""
        if not fetch.ending:
            fetch.ending = True
            self._start(self._hand_over, fetch)

    async def _hand_over(self, fetch: _Fetch) -> None:
        fetch.users += 1
        content, wanted = fetch.partial.content, fetch.wanted
        with telling(fetch.end):
            right = await is_any_of(fetch.partial.fd, self.holders.digests(wanted))
            if fetch.end.done.is_set():
                return
            del self._fetches[fetch.number]
            fetch.partial.close()
            if right:
                self._volume.arrived(fetch.number, wanted.generation, content)
            else:
                self._volume.abandon(content)
                self._blame(fetch)
        fetch.end.done.set()

    def _blame(self, fetch: _Fetch) -> None:
        """What has come is not what was known: nobody gets it. Of several who gave it, each is then asked for all."""
        givers = [copy for copy in self.holders.of(fetch.wanted) if copy.entry in fetch.givers]
        if len(givers) == 1:
            self.holders.changed(givers[0])
        else:
            self._each_alone.add(fetch.number)

    # -- whole files ---------------------------------------------------------------------------------------------------

    def _whole(self, number: InodeNumber) -> _Whole:
        whole = self._wholes.get(number)
        if whole is None or whole.scope.cancel_called:
            whole = self._wholes[number] = _Whole()
            self._start(self._bring_whole, number, whole)
        return whole

    async def _bring_whole(self, number: InodeNumber, whole: _Whole) -> None:
        with telling(whole), whole.scope:
            while (inode := self._volume.peek(number)).absent:
                await self._volume.space.room_for(inode.size)
                if self._in_one_go(inode):
                    await self._by_file(inode)
                else:
                    await self._by_blocks(number)
        self._each_alone.discard(number)
        if self._wholes.get(number) is whole:
            del self._wholes[number]
        whole.done.set()

    def _in_one_go(self, inode: Inode) -> bool:
        """Whether to have the driver write all of it; else some is here already, or one call for a range brings it."""
        if inode.number in self._each_alone:
            return True
        fetch = self._fetches.get(inode.number)
        if fetch is not None and not (fetch.partial.empty and not fetch.under):
            return False
        if inode.size <= BLOCK_BYTES or inode.size > ONE_CALL_BYTES:
            return inode.size > BLOCK_BYTES
        return inode.size > self.holders.expected(wanted_of(inode)).bytes_per_s * PIECE_S

    async def _by_blocks(self, number: InodeNumber) -> None:
        fetch = self._fetch(number)
        if fetch is None:
            return
        partial = fetch.partial
        fetch.users += 1
        try:
            while not partial.whole:
                most = piece_of(MOST_AHEAD, fetch.speed)
                for piece in partial.missing(partial.blocks(0, partial.size), fetch.under, most):
                    self._begin(fetch, piece)
                    if len(set(fetch.under.values())) >= WHOLE_READS:
                        break
                under = next(iter(fetch.under.values()))
                await (under.done.wait() if under.ahead else under.wait())
            self._end(fetch)
            await fetch.end.wait()
        finally:
            fetch.users -= 1

    async def _by_file(self, inode: Inode) -> None:
        wanted = wanted_of(inode)

        async def fetch(plug: Plug, path: RemotePath, copy: Copy) -> None:
            attempt = Attempt(self._volume, inode, plug, path, copy, self.holders.digests(wanted))
            with self.holders.measuring(copy.entry, inode.size):
                self._start(attempt.run)
                await attempt.ended_or_stalled(self._stall_s)

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
