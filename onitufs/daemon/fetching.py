"""Brings bytes that are not here: by blocks for who reads, whole for who needs all.

Each block and each whole file is fetched once, however many wait for it, and goes on if they leave. Nobody waits longer
than the bounds say. What has come as a whole is given to the volume, which records it.
"""

from collections import defaultdict
from collections.abc import Callable

import trio

from onitufs.content.partial import BLOCK_BYTES
from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy
from onitufs.model.errors import ServiceError
from onitufs.model.files import Inode
from onitufs.model.ids import EntryName, InodeNumber
from onitufs.volume import Volume

from .attempts import Attempt, TooManyCalls, WholeCalls
from .blocks import Blocks, read_part
from .holders import Holders, wanted_of
from .neighbours import Neighbours
from .reading_ahead import PIECE_S
from .under_way import Under, telling
from .verifying import Verifier

STALL_S = 10.0  # who gives nothing for so long is not waited for
BOUND_S = 30.0  # for a block
AHEAD_READS = 6  # calls to one entry at one time that nobody waits for yet; a Plug makes more, for those who wait
ONE_CALL_BYTES = 1 << 20  # a file up to this size is fetched by one call for a range, if the entry is not slow
SWEEP_S = 10.0


class _Whole(Under):
    def __init__(self) -> None:
        super().__init__()
        self.scope = trio.CancelScope()
        self.waiting = 0
        self.kept = False  # goes on though nobody waits


class Fetcher:
    """See volume.absence.Far for what it offers. `holders` say whom to ask."""

    def __init__(self, volume: Volume, holders: Holders, *, stall_s: float = STALL_S, bound_s: float = BOUND_S) -> None:
        self.holders = holders
        self._volume = volume
        self._stall_s = stall_s
        self._bound_s = bound_s
        self._wholes: dict[InodeNumber, _Whole] = {}
        self._verifier = Verifier(holders, self._start)
        self._each_alone: set[InodeNumber] = set()  # ranges of several holders did not make up the file
        self._ahead: defaultdict[EntryName, trio.CapacityLimiter] = defaultdict(
            lambda: trio.CapacityLimiter(AHEAD_READS)
        )
        self._calls = WholeCalls()
        self._blocks = Blocks(
            volume,
            holders,
            self._start,
            self._ahead,
            self._calls,
            self._each_alone.add,
            stall_s=stall_s,
            bound_s=bound_s,
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
                    self._blocks.sweep()
        finally:
            self._nursery = None
            self._blocks.drop_all()

    # -- for readers ---------------------------------------------------------------------------------------------------

    async def read(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        """See Far.read."""
        while self._volume.peek(number).absent:
            await self._volume.space.room_for(1)
            if number in self._each_alone:
                await self.fetch_all(number)
            elif (data := await self._blocks.read(number, offset, length)) is not None:
                return data
        return None

    async def ensure(self, number: InodeNumber, offset: int, length: int) -> None:
        """Return when these bytes of an absent file are here. Raises as Far.read."""
        await self._volume.space.room_for(1)
        await self._blocks.ensure(number, offset, length)

    async def glance(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        """See Far.glance. Who reads to keep goes first."""
        here = self._blocks.have(number, offset, length)
        if here is not None:
            return here
        inode = self._volume.peek(number)
        if not inode.absent:
            return None
        wanted = max(0, min(length, inode.size - offset))

        async def call(plug: Plug, path: RemotePath, copy: Copy) -> bytes:
            async with self._ahead[copy.entry]:
                return await read_part(self.holders, self._stall_s, plug, path, copy, offset, wanted)

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
        return number in self._wholes or number in self._blocks

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
                if not self._in_one_go(inode):
                    await self._blocks.whole(number)
                    continue
                try:
                    await self._by_file(inode)
                except TooManyCalls:
                    await (self._calls.ended() if number in self._each_alone else self._blocks.whole(number))
        self._each_alone.discard(number)
        if self._wholes.get(number) is whole:
            del self._wholes[number]
        whole.done.set()

    def _in_one_go(self, inode: Inode) -> bool:
        """Whether to have the driver write all of it; else some is here already, or one call for a range brings it."""
        if inode.number in self._each_alone:
            return True
        if self._blocks.is_begun(inode.number):
            return False
        if inode.size <= BLOCK_BYTES or inode.size > ONE_CALL_BYTES:
            return inode.size > BLOCK_BYTES
        return inode.size > self.holders.expected(wanted_of(inode)).bytes_per_s * PIECE_S

    async def _by_file(self, inode: Inode) -> None:
        wanted = wanted_of(inode)

        async def fetch(plug: Plug, path: RemotePath, copy: Copy) -> None:
            if not self._calls.begin(copy.entry):
                raise TooManyCalls
            attempt = Attempt(self._volume, inode, plug, path, copy, self.holders.digests(wanted))
            with self.holders.measuring(copy.entry, inode.size):
                self._start(self._run_attempt, attempt, copy.entry)
                await attempt.ended_or_stalled(self._stall_s)

        await self.holders.ask(wanted, fetch)
        if not self._volume.is_absent(inode.number, inode.generation):
            self._blocks.drop(inode.number)

    async def _run_attempt(self, attempt: Attempt, entry: EntryName) -> None:
        try:
            await attempt.run()
        finally:
            self._calls.end(entry)

    # -- the end -------------------------------------------------------------------------------------------------------

    @property
    def half_fetched(self) -> int:
        """How many files are here in part."""
        return len(self._blocks)

    def _start(self, task: Callable[..., object], *args: object) -> None:
        if self._nursery is None:
            raise ServiceError("nothing is fetched while the daemon ends")
        self._nursery.start_soon(task, *args)  # type: ignore[arg-type]
