"""How fast one entry may send and fetch: a bucket of bytes that fills with time, for each direction.

Whoever moved bytes waits afterwards until time has paid for them. So a limit holds for whatever a driver reads in one
piece, and those who wait go on in the order in which they came. Own code: see docs/decisions/0005-libraries.md.
"""

import threading
from dataclasses import dataclass

import trio

from onitufs.model.bandwidth import Bandwidth

BURST_S = 0.5
"""What may go at once after a rest, in seconds' worth."""
DUE_S = 1e-6
"""So little is not worth waiting for, and might be less than a clock can tell."""
CHUNK_S = 2.0
"""What one chunk of a large file takes at most, so that smaller files wait no longer for their turn."""
LEAST_CHUNK = 256 * 1024


class Bucket:
    """One direction. `bytes_per_s`: None for no limit; nor is there one before `begin`.

    `take` and `owed_s` may be called in any thread.
    """

    def __init__(self, bytes_per_s: int | None) -> None:
        self._rate = bytes_per_s
        self._clock: trio.abc.Clock | None = None
        self._lock = threading.Lock()
        self._taken = 0  # bytes that were moved in all
        self._paid = 0.0  # and how many time has allowed, in all
        self._at = 0.0
        self._changed = trio.Event()

    def begin(self) -> None:
        """Limit from now on, by the clock of the trio task that calls."""
        self._clock = trio.lowlevel.current_clock()
        self._at = self._clock.current_time()
        self._paid = float(self._taken)

    def change(self, bytes_per_s: int | None) -> None:
        """Have another limit from now on; who waits, waits by the new one. On the loop only."""
        with self._lock:
            self._pay()
            self._rate = bytes_per_s
        self._changed.set()
        self._changed = trio.Event()

    def take(self, count: int) -> int:
        """So many bytes are being moved; the ticket for `wait`."""
        with self._lock:
            self._pay()
            self._taken += count
            return self._taken

    def owed_s(self, ticket: int) -> float:
        """Seconds until time has paid for all up to that ticket; 0 or less: it has."""
        with self._lock:
            self._pay()
            return 0.0 if self._rate is None or self._clock is None else (ticket - self._paid) / self._rate

    def _pay(self) -> None:
        if self._clock is None:
            return
        now = self._clock.current_time()
        if self._rate is None:
            self._paid = float(self._taken)
        else:
            self._paid = min(self._taken + BURST_S * self._rate, self._paid + (now - self._at) * self._rate)
        self._at = now

    async def wait(self, ticket: int) -> None:
        """Until time has paid for all up to that ticket."""
        while (owed_s := self.owed_s(ticket)) > DUE_S:
            with trio.move_on_after(owed_s):
                await self._changed.wait()

    async def turn(self) -> None:
        """Until time has paid for all that was moved before."""
        await self.wait(self.take(0))

    def chunk(self, most: int) -> int:
        """How many bytes the next chunk of a large file has; `most` is what the driver takes."""
        if self._rate is None:
            return most
        return min(most, max(LEAST_CHUNK, int(self._rate * CHUNK_S)))


@dataclass(frozen=True, slots=True)
class Buckets:
    """Both directions of one entry."""

    up: Bucket
    down: Bucket

    @classmethod
    def of(cls, bandwidth: Bandwidth) -> "Buckets":
        return cls(Bucket(bandwidth.up), Bucket(bandwidth.down))

    def begin(self) -> None:
        """As Bucket.begin."""
        self.up.begin()
        self.down.begin()

    def change(self, bandwidth: Bandwidth) -> None:
        self.up.change(bandwidth.up)
        self.down.change(bandwidth.down)
