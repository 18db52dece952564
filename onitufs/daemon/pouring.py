"""Has a driver write a file of which somebody reads on, from its beginning into the local one, in one call.

Bytes that come by a call for each few blocks go through several hands; this way only their number does. It suits a line
that one call keeps busy, and who reads about as fast as it gives.
"""

import os
from collections.abc import Callable

import trio

from onitufs.content.partial import BLOCK_BYTES, Partial
from onitufs.model.copies import Copy

from .attempts import ended_or_stalled, grown
from .holders import Holders
from .reading_ahead import USUAL_PIECE, Stream
from .speeds import Speed
from .under_way import Under, telling

LEAST_BYTES = 12 << 20  # so many have to be missing of a file
AFTER_BYTES = 1 << 20  # and so much of it was read on
LEAST_BYTES_PER_S = 16e6
WINDOW = (32 << 20) // BLOCK_BYTES  # blocks: who wants one further off need not wait for those before it
MOST_BEFORE = 64 << 20  # bytes: so far ahead of who reads, it ends


def is_worth_it(stream: Stream, missing: int, speed: Speed) -> bool:
    """Whether somebody who has read so far may want all of a file, of which so many bytes are missing, and would have
    it sooner for one call."""
    fills_the_line = speed.latency_s * speed.bytes_per_s <= USUAL_PIECE
    fast = speed.known and speed.bytes_per_s >= LEAST_BYTES_PER_S and fills_the_line
    return fast and missing >= LEAST_BYTES and stream.began == 0 and stream.run >= AFTER_BYTES


class Pour:
    """Fills `partial` from its beginning, whatever of it is here already.

    Its last block comes only when the driver has said that the file was the same all the time, so who has read all of
    it has read one generation. If that is never said, a later call for the rest is told.
    `grown` gets bytes that are here now and were not. `spoiled`: what is in `partial` is of no use.
    """

    def __init__(self, partial: Partial, copy: Copy, grown: Callable[[int], None], spoiled: Callable[[], None]) -> None:
        self.copy = copy
        self.stopped = trio.Event()
        """No block comes from it any more."""
        self.silent = trio.Event()
        """The driver writes nothing into it any more."""
        self._partial = partial
        self._grown = grown
        self._spoiled = spoiled
        self._fd = os.dup(partial.fd)  # a thread that hangs has it for longer
        self._scope = trio.CancelScope()
        self._moved = trio.Event()
        self._written = 0
        self._blocks = 0  # so many from the beginning are here
        self._read_to = 0
        self._digest = b""
        self._is_mixed = False

    @property
    def digest(self) -> bytes:
        """Of all bytes, if the driver computed it on the way and nobody else wrote any meanwhile; else b""."""
        return b"" if self._is_mixed else self._digest

    def brings(self, block: int) -> bool:
        """Whether a block that is not here comes soon."""
        return not self.stopped.is_set() and block < self._written // BLOCK_BYTES + WINDOW

    async def until(self, block: int) -> None:
        """Wait for a block; return also when it comes no more."""
        while self.brings(block) and not self._partial.has(block):
            await self._moved.wait()

    def others_wrote(self) -> None:
        """Somebody else has put blocks into the file."""
        self._is_mixed = True

    def read_to(self, offset: int) -> None:
        """A reader has come so far."""
        self._read_to = max(self._read_to, offset)

    def end(self) -> None:
        """It is not wanted any more. `silent` comes later."""
        self._scope.cancel()
        self.stopped.set()
        self._tell()

    def _tell(self) -> None:
        moved, self._moved = self._moved, trio.Event()
        moved.set()

    async def run(self, holders: Holders, stall_s: float) -> None:
        """Returns when the driver does. Raises bugs only."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, holders, stall_s)
                with telling(Under()), self._scope:
                    await self._fetch(holders)
                nursery.cancel_scope.cancel()
        finally:
            os.close(self._fd)
            self.end()
            self.silent.set()

    async def _watch(self, holders: Holders, stall_s: float) -> None:
        try:
            await ended_or_stalled(self.silent, lambda: (self._written, grown(self._fd)), stall_s)
        except trio.TooSlowError:
            self._write_elsewhere()
            holders.gave_nothing(self.copy, stall_s)
            self.end()
            self.silent.set()

    def _write_elsewhere(self) -> None:
        """What a thread writes that hangs, whenever that may be, does not come into the file any more."""
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nowhere, self._fd, inheritable=False)
        os.close(nowhere)

    async def _fetch(self, holders: Holders) -> None:
        copy, size, token = self.copy, self._partial.size, trio.lowlevel.current_trio_token()

        def tick(written: int) -> None:  # in a thread
            token.run_sync_soon(self._came, written)

        holders.need_no_silence(copy)
        with holders.measuring(copy.entry, size):
            digest = await holders.plug(copy).fetch(
                holders.path(copy), copy.rev, self._fd, tick, file=copy.file, size=size
            )
        if self.stopped.is_set():
            return
        if os.fstat(self._fd).st_size != size:
            self.end()
            self._spoiled()
            return
        self._digest = digest
        self._here(len(self._partial))

    def _came(self, written: int) -> None:
        if self.stopped.is_set():
            return
        self._written = written
        self._here(min(written // BLOCK_BYTES, len(self._partial) - 1))
        if written - self._read_to > MOST_BEFORE:
            self.end()

    def _here(self, blocks: int) -> None:
        self._grown(self._partial.filled(range(self._blocks, blocks)))
        self._blocks = max(self._blocks, blocks)
        self._tell()
