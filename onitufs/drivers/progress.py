"""What is being transferred, how far it is and how fast; and where a transfer can be ended half-way."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

import trio

from onitufs.model.errors import Stale
from onitufs.model.ids import FileId
from onitufs.model.orders import Delete, Move, Order, Put, SetAttributes
from onitufs.model.source import Source

from .bandwidth import DUE_S, Bucket
from .calling import Runner
from .handlers import RemotePath

_WINDOW_S = 2.0


@dataclass(frozen=True, slots=True)
class Fetch:
    """A file that is read whole from an entry. `file`: whose bytes they are, None where that is not known."""

    file: FileId | None
    path: RemotePath


@dataclass(slots=True, eq=False)
class Transfer:
    """One order or fetch under way. Bytes; `of` is 0 for what moves none. Counted in a thread, read on the loop."""

    order: Order | Fetch
    of: int
    now_s: Callable[[], float]
    bytes: int = 0
    came_nearer: bool = False  # whether the service confirmed some of it, but not yet all
    _mark: tuple[float, int] = (0.0, 0)
    _rate: float = 0.0
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.now_s()
        self._mark = (self._started, 0)

    def goes_on_at(self, offset: int) -> None:
        """So much of it is there already, by another transfer; what counts for the rate begins here."""
        self.bytes = offset
        self._mark = (self.now_s(), offset)
        self._rate = 0.0

    def confirmed(self, offset: int) -> None:
        """The service has so much of it for certain."""
        self.bytes = offset
        self.came_nearer = offset < self.of

    @property
    def what(self) -> str:
        """For people: "put", "move", "delete", "attributes" or "fetch"."""
        match self.order:
            case Put():
                return "put"
            case Move():
                return "move"
            case Delete():
                return "delete"
            case SetAttributes():
                return "attributes"
            case Fetch():
                return "fetch"
            case _:
                assert_never(self.order)

    @property
    def direction(self) -> Literal["to", "from"]:
        """Whether this goes to the entry or comes from it."""
        return "from" if isinstance(self.order, Fetch) else "to"

    @property
    def bytes_per_s(self) -> float:
        """Rate over about the last two seconds. To be read now and then; each look may close a window."""
        now = self.now_s()
        then, before = self._mark
        if now - then >= _WINDOW_S or not self._rate:
            self._rate = (self.bytes - before) / (now - then) if now > then else 0.0
            if now - then >= _WINDOW_S:
                self._mark = (now, self.bytes)
        return self._rate


def keep_to(bucket: Bucket, count: int, runner: Runner) -> None:
    """Note that so many bytes are moved; in a thread of the runner, wait as the limit demands."""
    ticket = bucket.take(count)
    if bucket.owed_s(ticket) > DUE_S:
        runner.rest(bucket.wait, ticket)


class SourceTrouble(Exception):
    """The local bytes could not be read: neither the entry's nor the file's fault."""


GLANCE_S = 0.05  # who rests looks so often whether there still is a reason to

Pace = Callable[[float], float]
"""How long to rest after so many seconds of work, so that programs at work on the mount go first. 0: nobody is."""


def unhurried(worked_s: float) -> float:
    """The Pace of a place without programs."""
    del worked_s
    return 0.0


async def rest(pace: Pace, worked_s: float) -> None:
    """Rest after so many seconds of work, on the loop; no longer than programs are at work."""
    left_s = pace(worked_s)
    await trio.lowlevel.checkpoint()
    while left_s > 0:
        await trio.sleep(min(left_s, GLANCE_S))
        left_s = pace(0.0)


class Metered:
    """A Source that counts what is read, and ends the transfer where it reads if the work was cancelled.

    In threads it also keeps to the entry's limit, and rests as `pace` says between the blocks of a large copy. Where it
    is read on the loop, whoever begins the next piece of work waits for what this one took.
    """

    def __init__(
        self,
        source: Source,
        transfer: Transfer,
        runner: Runner,
        pace: Pace = unhurried,
        bucket: Bucket | None = None,
    ) -> None:
        self.size = source.size
        self._source = source
        self._transfer = transfer
        self._runner = runner
        self._pace = pace
        self._bucket = bucket

    def _moved(self, count: int) -> None:
        if self._bucket is not None:
            keep_to(self._bucket, count, self._runner)

    def read(self, offset: int, length: int) -> bytes:
        self._runner.check_cancelled()
        try:
            data = self._source.read(offset, length)
        except OSError as exc:
            raise SourceTrouble(f"the local store cannot be read: {exc}") from exc
        if not data and length and offset < self.size:
            raise Stale("the local content is shorter than it was")
        self._transfer.bytes = max(self._transfer.bytes, offset + len(data))
        self._moved(len(data))
        return data

    def copy_into(self, fd: int, tick: Callable[[int], None] | None = None) -> bytes:
        """As Source says. An OSError may be either side's: the driver judges it."""

        began_s = time.monotonic()
        counted = 0

        def count(written: int) -> None:
            nonlocal began_s, counted
            self._transfer.bytes = written
            self._runner.check_cancelled()
            self._moved(written - counted)
            counted = written
            if written < self.size:
                time.sleep(self._pace(time.monotonic() - began_s))
                began_s = time.monotonic()
            if tick is not None:
                tick(written)

        self._runner.check_cancelled()
        digest = self._source.copy_into(fd, count)
        self._transfer.bytes = self.size
        return digest

    def looked_at(self) -> "Metered":
        """The same bytes, not to be sent but to be compared: neither counted nor limited."""
        return Metered(self._source, replace(self._transfer), self._runner)

    def close(self) -> None:
        self._source.close()
