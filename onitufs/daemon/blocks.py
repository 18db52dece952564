"""Brings parts of files that are not here, block by block, for who reads; and the rest of what is here in part.

Each block is fetched once, however many wait for it. A file of which all blocks have come is given to the volume.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from onitufs.content.partial import BLOCK_BYTES, Partial
from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy
from onitufs.model.errors import Conflict
from onitufs.model.ids import EntryName, InodeNumber
from onitufs.volume import Volume

from .attempts import WholeCalls, is_any_of
from .holders import Holders, Wanted, wanted_of
from .pouring import Pour, is_worth_it
from .reading_ahead import MOST_AHEAD, Stream, Streams, ahead_of, around, piece_of
from .speeds import Speed
from .under_way import Under, telling

WHOLE_READS = 4  # calls at one time for files that are fetched whole, and one more for each beyond so many
IDLE_S = 600.0  # what was half fetched is kept so long after the last read
MOST_PARTIAL = 200  # files half fetched that nobody reads at the moment


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
    pour: Pour | None = None
    streams: Streams = field(default_factory=Streams)
    end: Under = field(default_factory=Under)  # done: given to the volume, or abandoned
    ending: bool = False
    givers: set[EntryName] = field(default_factory=set)
    users: int = 0
    used_s: float = 0.0

    def is_coming(self, block: int) -> bool:
        """Whether a block is on its way."""
        return block in self.under or (self.pour is not None and self.pour.brings(block))

    @property
    def is_idle(self) -> bool:
        return not (self.users or self.under or (self.pour is not None and not self.pour.silent.is_set()))


async def read_part(
    holders: Holders, stall_s: float, plug: Plug, path: RemotePath, copy: Copy, offset: int, length: int
) -> bytes:
    """Bytes of a Copy; trio.TooSlowError if its entry gives nobody anything for so long. Raises as Plug.read."""
    with holders.measuring(copy.entry, length), holders.patient(copy.entry, stall_s):
        data = await plug.read(path, copy.rev, offset, length)
        if len(data) != length:
            raise Conflict(f"{len(data)} bytes at {offset} instead of {length}")
    return data


class Blocks:
    """`start` starts a task that outlives who asked. `ahead`: for each entry, the calls that nobody waits for yet.
    `misfit` is told of a file whose blocks, of several holders, did not make up what is known of it.
    """

    def __init__(
        self,
        volume: Volume,
        holders: Holders,
        start: Callable[..., None],
        ahead: Mapping[EntryName, trio.CapacityLimiter],
        calls: WholeCalls,
        misfit: Callable[[InodeNumber], None],
        *,
        stall_s: float,
        bound_s: float,
    ) -> None:
        self._volume = volume
        self._holders = holders
        self._start = start
        self._ahead = ahead
        self._calls = calls
        self._misfit = misfit
        self._stall_s = stall_s
        self._bound_s = bound_s
        self._fetches: dict[InodeNumber, _Fetch] = {}
        self._wholes = 0

    def __contains__(self, number: InodeNumber) -> bool:
        """Whether some of a file is here, or on its way."""
        return number in self._fetches

    def __len__(self) -> int:
        """How many files are here in part."""
        return len(self._fetches)

    def is_begun(self, number: InodeNumber) -> bool:
        """Whether any block of a file is here, or on its way."""
        fetch = self._fetches.get(number)
        return fetch is not None and not (fetch.partial.empty and not fetch.under)

    def have(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        """Bytes of a file that is not here, if just they are; None: they are not."""
        fetch = self._fetches.get(number)
        if fetch is None or not all(fetch.partial.has(block) for block in fetch.partial.blocks(offset, length)):
            return None
        return fetch.partial.read(offset, length)

    async def read(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        """Bytes of a file, fewer only at its end. None: it is here by now, or what had come of it is of no use: to be
        asked again. Raises what Holders.ask does, NoSpace, OSError, NoInode."""
        fetch = self._fetch(number)
        if fetch is None:
            return None
        await self._ensure(fetch, offset, length)
        return None if fetch.end.done.is_set() else fetch.partial.read(offset, length)

    async def ensure(self, number: InodeNumber, offset: int, length: int) -> None:
        """Return when these bytes are here. Raises as `read`."""
        fetch = self._fetch(number)
        if fetch is not None:
            await self._ensure(fetch, offset, length)

    def _fetch(self, number: InodeNumber) -> _Fetch | None:
        """The fetch of an absent file, begun if need be; None if the file is here. Raises NoInode, NoSpace, OSError."""
        fetch = self._fetches.get(number)
        if fetch is not None:
            return fetch
        inode = self._volume.peek(number)
        if not inode.absent:
            return None
        wanted = wanted_of(inode)
        speed = self._holders.expected(wanted)
        content, fd = self._volume.begin_fetch()
        fetch = _Fetch(number, wanted, Partial(content, fd, inode.size), speed)
        self._fetches[number] = fetch
        return fetch

    async def _ensure(self, fetch: _Fetch, offset: int, length: int) -> None:
        partial = fetch.partial
        stream = fetch.streams.reads(offset, length)
        ahead = 0 if self._pours(fetch, stream) else ahead_of(stream, fetch.speed)
        most = piece_of(ahead, fetch.speed)
        blocks = partial.blocks(offset, length)
        self._demand(fetch, blocks, most)
        if ahead:
            after = partial.blocks(offset + length, ahead)
            after = range(max(blocks.stop, after.start, stream.reached), after.stop)
            at_end = after.stop * BLOCK_BYTES >= partial.size
            for piece in partial.missing(after, fetch.is_coming, most) if at_end or len(after) >= most else ():
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
        if fetch.pour is not None:
            await fetch.pour.until(block)
            if fetch.partial.has(block) or fetch.end.done.is_set():
                return
            self._demand(fetch, range(block, block + 1), most)
        under = fetch.under.get(block)
        if under is not None and under.ahead:
            await under.done.wait()
            if fetch.partial.has(block) or fetch.end.done.is_set():
                return
            # What went wrong before anybody waited counts for nothing.
            self._demand(fetch, range(block, block + 1), most)
            under = fetch.under.get(block)
        if under is not None:
            await under.wait()

    def _demand(self, fetch: _Fetch, blocks: range, most: int) -> None:
        if not blocks:
            return
        grain, last = around(fetch.speed), fetch.partial.blocks(0, fetch.partial.size).stop
        near = range(blocks.start // grain * grain, min(-(-blocks.stop // grain) * grain, last))
        for piece in fetch.partial.missing(near, fetch.is_coming, most):
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
                self._holders.need_no_silence(copy)  # who waited for those before need not wait as long as they did
                data = await read_part(self._holders, self._stall_s, plug, path, copy, offset, length)
            fetch.givers.add(copy.entry)
            return data

        with telling(under), trio.fail_after(self._bound_s):
            await self._volume.space.room_for(length)
            data = await self._holders.ask(fetch.wanted, call)
            if not fetch.end.done.is_set() and not all(map(fetch.partial.has, blocks)):
                fetch.partial.put(blocks, data)
                if fetch.pour is not None:
                    fetch.pour.others_wrote()
                self._volume.space.take(length, late=True)
                if not fetch.partial.whole:
                    fetch.speed = self._holders.expected(fetch.wanted)
        for block in blocks:
            del fetch.under[block]
        under.done.set()
        if fetch.partial.whole:
            self._end(fetch)

    def _pours(self, fetch: _Fetch, stream: Stream) -> bool:
        """Whether all comes by one call, or will as soon as what is under way has come."""
        pour, size = fetch.pour, fetch.partial.size
        if pour is not None:
            pour.read_to(stream.expected)
            return not pour.stopped.is_set()
        if not is_worth_it(stream, fetch.partial.left * BLOCK_BYTES, fetch.speed) or self._volume.space.left < size:
            return False
        copies = self._holders.of(fetch.wanted)
        if copies and not fetch.under:
            if not self._calls.begin(copies[0].entry):
                return False
            fetch.pour = Pour(fetch.partial, copies[0], self._take_late, lambda: self._spoiled(fetch))
            fetch.pour.read_to(stream.expected)
            fetch.givers.add(copies[0].entry)
            self._start(self._run_pour, fetch, fetch.pour)
        return bool(copies)

    async def _run_pour(self, fetch: _Fetch, pour: Pour) -> None:
        try:
            await pour.run(self._holders, self._stall_s)
        finally:
            self._calls.end(pour.copy.entry)
        if fetch.partial.whole:
            self._end(fetch)

    def _spoiled(self, fetch: _Fetch) -> None:
        """What is here of a file is of no use: whoever waits for it begins anew."""
        if self._fetches.get(fetch.number) is fetch:
            self.drop(fetch.number)

    def _take_late(self, length: int) -> None:
        self._volume.space.take(length, late=True)

    def _end(self, fetch: _Fetch) -> None:
        """All blocks are here."""
        if not fetch.ending:
            fetch.ending = True
            self._start(self._hand_over, fetch)

    async def _hand_over(self, fetch: _Fetch) -> None:
        fetch.users += 1
        content, wanted = fetch.partial.content, fetch.wanted
        with telling(fetch.end):
            digest = b""
            if fetch.pour is not None:
                await fetch.pour.silent.wait()
                digest = fetch.pour.digest
                if fetch.end.done.is_set():
                    return
            right = await is_any_of(fetch.partial.fd, self._holders.digests(wanted), digest)
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
        givers = [copy for copy in self._holders.of(fetch.wanted) if copy.entry in fetch.givers]
        if len(givers) == 1:
            self._holders.changed(givers[0])
        else:
            self._misfit(fetch.number)

    async def whole(self, number: InodeNumber) -> None:
        """Bring all that is not here of a file, and wait until it is given to the volume. Raises as `read`."""
        fetch = self._fetch(number)
        if fetch is None:
            return
        partial = fetch.partial
        fetch.users += 1
        self._wholes += 1
        try:
            while not partial.whole:
                if fetch.pour is not None:
                    fetch.pour.read_to(partial.size)  # it goes on, whoever reads
                    await fetch.pour.stopped.wait()
                    if partial.whole or fetch.end.done.is_set():
                        break
                # They share the line: what each of them asks for must not take so long that it looks like silence.
                most = max(1, piece_of(MOST_AHEAD, fetch.speed) // self._wholes)
                for piece in partial.missing(partial.blocks(0, partial.size), fetch.is_coming, most):
                    self._begin(fetch, piece)
                    if len(set(fetch.under.values())) >= WHOLE_READS // self._wholes:
                        break
                under = next(iter(fetch.under.values()))
                await (under.done.wait() if under.ahead else under.wait())
            self._end(fetch)
            await fetch.end.wait()
        finally:
            self._wholes -= 1
            fetch.users -= 1

    def sweep(self) -> None:
        """Let go of what was half fetched, if nobody reads it any more or it is of no use."""
        idle = sorted((f for f in self._fetches.values() if f.is_idle), key=lambda f: f.used_s)
        spare, now_s = len(idle) - MOST_PARTIAL, trio.current_time()
        for at, fetch in enumerate(idle):
            useless = not self._volume.is_absent(fetch.number, fetch.wanted.generation)
            if useless or at < spare or now_s - fetch.used_s >= IDLE_S:
                self.drop(fetch.number)

    def drop(self, number: InodeNumber) -> None:
        """Let go of what is here of a file, if anything is."""
        fetch = self._fetches.pop(number, None)
        if fetch is None:
            return
        fetch.end.done.set()
        if fetch.pour is not None:
            fetch.pour.end()
        fetch.partial.close()
        self._volume.abandon(fetch.partial.content)

    def drop_all(self) -> None:
        for number in list(self._fetches):
            self.drop(number)
