"""The orders of one entry that have not ended: queued, running, or waiting for a running one of the same file."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import trio

from onitufs.model.errors import Stale
from onitufs.model.files import Kind
from onitufs.model.ids import FileId
from onitufs.model.orders import Delete, Done, Failed, Interest, Move, Order, Outcome, Put

from .admission import Admission
from .backoff import Backoff
from .claims import Ticket
from .handlers import RemotePath
from .queue import Job, Line, OrderQueue, line_of
from .supervisor import said

MOST_OVERTAKEN = 3
"""How many uploads of a file may be ended by newer versions of it, before one goes through."""


class Backlog:
    """One order a file is queued or runs; each one's end is reported once. Plain methods, for the loop only.

    `report`, `interest`: as for Plug. `woke`: called when something may be begun that could not before.
    """

    def __init__(
        self,
        report: Callable[[Outcome], None],
        interest: Callable[[Put], Interest],
        backoff: Backoff,
        bound: int,
        woke: Callable[[], None],
    ) -> None:
        self.on_room: Callable[[], None] | None = None
        self._report = report
        self._interest = interest
        self._backoff = backoff
        self._bound = bound
        self._woke = woke
        self._queue = OrderQueue(trio.current_time, line_of)
        self._admission = Admission()
        self._running: dict[FileId, Job] = {}
        self._waiting: dict[FileId, Order] = {}
        self._refused: dict[FileId, Job] = {}
        self._overtaken: Counter[FileId] = Counter()
        self._was_full = False

    def __len__(self) -> int:
        """How many orders are queued or running."""
        return len(self._queue) + len(self._running)

    @property
    def room(self) -> bool:
        """Whether the queue is below its bound. `on_room` is called when it is again."""
        return len(self._queue) < self._bound

    @property
    def anything_runs(self) -> bool:
        return bool(self._running)

    def pending(self, file: FileId) -> bool:
        """Whether an order of this file is queued or running."""
        return file in self._queue or file in self._running

    def problems(self) -> Mapping[FileId, tuple[str, str]]:
        """For each file whose order failed and is tried again: reason and remedy."""
        jobs = [*self._queue.jobs(), *self._running.values()]
        return {job.order.file: job.problem for job in jobs if job.problem is not None}

    # -- in ------------------------------------------------------------------------------------------------------------

    def submit(self, order: Order) -> None:
        """Take an order. It replaces a queued one of the same file; while one is running it waits for it."""
        if order.file in self._running:
            self._waiting[order.file] = order
            return
        self._ready(self._admission.drop_intent(order.file))
        job = self._queue.add(order)
        refused = self._refused.get(order.file)
        if refused is not None and refused.order == order:  # ordered again unchanged: the same would happen at once
            job.failures, job.problem = refused.failures, refused.problem
            self._queue.delay(job, trio.current_time() + self._backoff.delay_s(job.failures))
        self._was_full = self._was_full or not self.room
        self._woke()

    def withdraw(self, file: FileId) -> None:
        """Forget the order of this file that is queued or waits; a running one runs on."""
        self._waiting.pop(file, None)
        self._refused.pop(file, None)
        self._overtaken.pop(file, None)
        self._ready(self._admission.drop_intent(file))
        self._queue.withdraw(file)
        self.tell_room()
        self._woke()

    def still_wanted(self, order: Put) -> bool:
        """Whether the bytes of a running order are to be sent on. If not, the order is to end as Stale.

        A file that is saved over and over would never arrive if each save ended its upload: only the first few do.
        """
        newer = self._waiting.get(order.file)
        interest = self._interest(order)
        if interest is Interest.NONE or isinstance(newer, Delete):
            return False
        waits = isinstance(newer, Put) and newer.generation != order.generation
        if interest is Interest.OVERTAKEN or waits:
            self._overtaken[order.file] += 1
            return self._overtaken[order.file] > MOST_OVERTAKEN
        return True

    def gives_way(self, order: Put) -> bool:
        """Whether a running order has to let smaller ones go first, of which at least one waits for want of a lane."""
        job = self._running.get(order.file)
        return job is not None and self._queue.has_smaller(job)

    def hurry(self) -> None:
        """End all delays."""
        self._queue.hurry()

    def tell_room(self) -> None:
        """Call on_room if the queue was full and is half empty now."""
        if self._was_full and len(self._queue) <= self._bound // 2:
            self._was_full = False
            if self.on_room is not None:
                self.on_room()

    # -- taken ---------------------------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """When the first delay ends."""
        return self._queue.next_due()

    def pick(self, line: Line) -> Job | None:
        """Take the next job of a line: it is to be let in, or ended."""
        job = self._queue.pick(line)
        if job is not None:
            self._ready(self._admission.drop_intent(job.order.file))
        return job

    def held_up(
        self, job: Job, ticket: Ticket, paths: list[tuple[RemotePath, bool]], making: list[tuple[FileId, RemotePath]]
    ) -> bool:
        """Whether something is in the way of a picked job; then it waits for that. As Performer.touches tells them."""
        directory = _is_directory(job.order)
        blocker = self._admission.in_the_way(ticket, paths, making, heed_intents=not directory)
        if blocker is None:
            return False
        self._queue.block(job)
        blocker.waiting.append(job)
        if directory:
            self._admission.intend(job.order.file, paths)
        return True

    def begin(
        self, job: Job, ticket: Ticket, paths: list[tuple[RemotePath, bool]], making: list[tuple[FileId, RemotePath]]
    ) -> None:
        """A picked job that nothing holds up runs from now on, and claims what it touches."""
        self._admission.admit(ticket, paths, making)
        self._running[job.order.file] = job

    def release(self, ticket: Ticket) -> None:
        """What was claimed under the ticket is free again."""
        self._ready(self._admission.release(ticket))
        self._woke()

    def _ready(self, waited: Iterable[object]) -> None:
        """What waited may be tried again."""
        for job in waited:
            assert isinstance(job, Job)
            self._queue.ready(job)

    # -- out -----------------------------------------------------------------------------------------------------------

    def end(self, job: Job, outcome: Outcome) -> None:
        """Report a job's end. What waited for it is submitted if `report` asked for it anew, else reported as stale."""
        file = job.order.file
        before = self._waiting.get(file)
        if isinstance(outcome, Done):
            self._refused.pop(file, None)
            self._overtaken.pop(file, None)
        elif outcome.stale:
            job.failures += 1
            job.problem = said(outcome.error)
            self._refused[file] = job
        self._running[file] = job  # what `report` submits waits until it is through
        self._report(outcome)
        self._running.pop(file, None)
        after = self._waiting.pop(file, None)
        if after is not None and after is before:
            error = Stale("it built on an order that has just ended")
            self._report(Failed(order=after, error=error, again=True, stale=True))
        elif after is not None:
            self.submit(after)

    def back(self, job: Job, until: float | None = None) -> None:
        """Queue a job again that did not end, or the newer order that waited for it."""
        self._running.pop(job.order.file, None)
        newer = self._waiting.pop(job.order.file, None)
        if newer is not None:
            self.submit(newer)
        elif until is None:
            self._queue.put_back(job)
        else:
            self._queue.delay(job, until)

    def all_back(self, jobs: Iterable[Job]) -> None:
        """Queue again those of the jobs that run and did not end: they were cancelled, or met a bug."""
        for job in jobs:
            if self._running.get(job.order.file) is job:
                self.back(job)


def _is_directory(order: Order) -> bool:
    return isinstance(order, Move | Delete) and order.copy.kind is Kind.DIRECTORY
