"""Orders that wait for their turn: small and recent ones first, and yet every one in the end.

Kept in memory only: it is a window on the difference between want and have, which the catalog knows.
"""

import enum
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onitufs.model.files import Kind
from onitufs.model.ids import FileId
from onitufs.model.orders import Order, Put

_OLDEST_EVERY = 4
"""Each fourth pick takes the order that waits longest, whatever its size: so none starves."""


SMALL_BYTES = 256 * 1024
"""Files up to this size go in batches, where the driver takes batches."""

LARGE_BYTES = 32 * 1024 * 1024
"""Files above this size leave a lane to the large ones below it, which would wait for hours otherwise."""


class Line(enum.IntEnum):
    """Orders that compete with each other only."""

    NAMES = 0  # moves, deletes, directories, links, attributes: no bytes
    SMALL = 1
    LARGE = 2
    HUGE = 3


def line_of(order: Order) -> tuple[Line, int]:
    """The line of an order, and how many bytes it moves."""
    if isinstance(order, Put) and order.kind is Kind.FILE:
        line = Line.SMALL if order.size <= SMALL_BYTES else Line.LARGE if order.size <= LARGE_BYTES else Line.HUGE
        return line, order.size
    return Line.NAMES, 0


class Stage(enum.Enum):
    READY = enum.auto()
    DELAYED = enum.auto()  # until `not_before`
    BLOCKED = enum.auto()  # another piece of work is in the way
    OUT = enum.auto()  # taken or withdrawn


@dataclass(slots=True, eq=False)
class Job:
    """One queued order, and what was met on the way. A newer order of the same file takes over the job's age."""

    order: Order
    line: Line
    size: int
    number: int
    stage: Stage = Stage.READY
    failures: int = 0
    not_before: float = 0.0
    problem: tuple[str, str] | None = None  # reason, remedy
    stamp: int = 0  # of its heap entries, those with another stamp are no longer true

    @property
    def rank(self) -> tuple[int, int]:
        """Small first, by powers of four from 64 KiB; among equals the one that came last."""
        return (max(0, self.size.bit_length() - 16) // 2, -self.number)


class OrderQueue:
    """At most one job a file. Times are those of `now_s`, seconds of any clock that does not jump."""

    def __init__(self, now_s: Callable[[], float], line_of: Callable[[Order], tuple[Line, int]]) -> None:
        self._now_s = now_s
        self._line_of = line_of
        self._jobs: dict[FileId, Job] = {}
        self._count = 0
        self._stamp = 0
        self._picks = dict.fromkeys(Line, 0)
        self._best: dict[Line, _Heap] = {line: [] for line in Line}
        self._oldest: dict[Line, _Heap] = {line: [] for line in Line}
        self._delayed: _Heap = []

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, file: FileId) -> bool:
        return file in self._jobs

    def jobs(self) -> list[Job]:
        """All of them, in the order in which they came."""
        return list(self._jobs.values())

    def add(self, order: Order) -> Job:
        """Queue an order; a queued one of the same file is replaced, and what held that one up holds no longer.

        The new job keeps the age of the old one, so that a file that is saved again and again has its turn, too.
        """
        old = self._jobs.get(order.file)
        line, size = self._line_of(order)
        if old is None:
            self._count += 1
            job = Job(order, line, size, self._count)
        else:
            self._retire(old)
            job = Job(order, line, size, old.number)
        self._jobs[order.file] = job
        self.ready(job)
        return job

    def put_back(self, job: Job) -> None:
        """Queue a taken job again, unless a newer order of its file came meanwhile."""
        if job.order.file not in self._jobs:
            self._jobs[job.order.file] = job
            self.ready(job)

    def delay(self, job: Job, until: float) -> None:
        """Keep a queued or taken job in the queue, but do not pick it before that time."""
        if self._jobs.setdefault(job.order.file, job) is job:
            job.stage, job.not_before = Stage.DELAYED, until
            self._stamp_anew(job)
            self._push(self._delayed, until, job)

    def hurry(self) -> None:
        """End all delays."""
        for job in self._jobs.values():
            if job.stage is Stage.DELAYED:
                self.ready(job)

    def withdraw(self, file: FileId) -> None:
        job = self._jobs.pop(file, None)
        if job is not None:
            self._retire(job)

    def block(self, job: Job) -> None:
        """Keep a taken job queued, but do not pick it until `ready` is called for it."""
        if job.order.file not in self._jobs:
            self._jobs[job.order.file] = job
            job.stage = Stage.BLOCKED
            job.stamp = 0

    def ready(self, job: Job) -> None:
        """Let a queued job be picked. Nothing happens for one that left the queue."""
        if self._jobs.get(job.order.file) is not job:
            return
        job.stage = Stage.READY
        self._stamp_anew(job)
        self._push(self._best[job.line], job.rank, job)
        self._push(self._oldest[job.line], job.number, job)

    def pick(self, line: Line) -> Job | None:
        """Take the next job of a line out of the queue."""
        self._wake_delayed()
        self._picks[line] += 1
        heap = self._oldest[line] if self._picks[line] % _OLDEST_EVERY == 0 else self._best[line]
        self._drop_false(heap)
        job = heapq.heappop(heap)[2] if heap else None
        if job is not None:
            self._retire(job)
            del self._jobs[job.order.file]
        return job

    def has_smaller(self, job: Job) -> bool:
        """Whether an order of the same line waits that is smaller, by rank, and could be picked now."""
        self._wake_delayed()
        heap = self._best[job.line]
        self._drop_false(heap)
        return bool(heap) and heap[0][2].rank[0] < job.rank[0]

    def next_due(self) -> float | None:
        """When the first delay ends."""
        self._drop_false(self._delayed)
        return self._delayed[0][0] if self._delayed else None

    def _wake_delayed(self) -> None:
        now = self._now_s()
        while (due := self.next_due()) is not None and due <= now:
            self.ready(heapq.heappop(self._delayed)[2])

    def _stamp_anew(self, job: Job) -> None:
        self._stamp += 1
        job.stamp = self._stamp

    def _push(self, heap: "_Heap", key: Any, job: Job) -> None:
        if len(heap) > 2 * len(self._jobs) + 64:  # mostly leftovers of orders that were replaced
            heap[:] = [entry for entry in heap if entry[1] == entry[2].stamp]
            heapq.heapify(heap)
        heapq.heappush(heap, (key, job.stamp, job))

    @staticmethod
    def _retire(job: Job) -> None:
        job.stage = Stage.OUT
        job.stamp = 0

    @staticmethod
    def _drop_false(heap: "_Heap") -> None:
        while heap and heap[0][1] != heap[0][2].stamp:
            heapq.heappop(heap)


_Heap = list[tuple[Any, int, Job]]
"""Key, stamp (no two are the same, so that jobs are never compared), job."""
