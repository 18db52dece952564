"""Which orders are begun now: lines in turn, as lanes are free, and what touches the paths of others not at all."""

from collections.abc import Callable

import trio

from onitufs.model.errors import DriverError, Stale
from onitufs.model.orders import Order

from .backlog import Backlog
from .claims import Ticket
from .lanes import Lanes
from .performing import Performer
from .queue import Job, Line

BATCH_FILES = 256
BATCH_BYTES = 4 * 1024 * 1024


class Starter:
    """Takes jobs out of the backlog in one session. Plain functions, no yield: what they see stays as it is.

    `fits`: as for Plug. `refuse`: told of jobs that end before they begin, and why.
    """

    def __init__(
        self,
        backlog: Backlog,
        lanes: Lanes,
        performer: Performer,
        fits: Callable[[Order], bool],
        refuse: Callable[[Job, Exception], None],
    ) -> None:
        self._backlog = backlog
        self._lanes = lanes
        self._performer = performer
        self._fits = fits
        self._refuse = refuse
        self._turn = 0

    def start(self, begin: Callable[[Line, list[Job], Ticket, int], None]) -> float:
        """Have whatever may be begun be begun: a job, or a batch of jobs, its claims and its trial.

        When to look again, if nothing happens before.
        """
        idle = 0
        while idle < len(Line):
            self._turn += 1
            line = Line(self._turn % len(Line))
            free = self._lanes.free(line, batches=self._performer.takes_batches)
            jobs, ticket = self._take(line) if free else ([], None)
            if not jobs or ticket is None:
                idle += 1
                continue
            idle = 0
            begin(line, jobs, ticket, self._lanes.begin(line))
        # What is due already could not be started: then the end of something that runs wakes us.
        due = (self._backlog.next_due(), self._lanes.full_until)
        return min((at for at in due if at is not None and at > trio.current_time()), default=float("inf"))

    def _take(self, line: Line) -> tuple[list[Job], Ticket]:
        """The next job of a line, or batch of jobs, with its claims."""
        ticket = Ticket()
        jobs: list[Job] = []
        alone = line is not Line.SMALL or not self._performer.takes_batches or self._lanes.alone
        size = 0
        while (job := self._backlog.pick(line)) is not None:
            if not self._claim(job, ticket):
                continue
            jobs.append(job)
            size += job.size
            if alone or len(jobs) >= BATCH_FILES or size >= BATCH_BYTES:
                break
        return jobs, ticket

    def _claim(self, job: Job, ticket: Ticket) -> bool:
        """Claim what the job touches; if something is in its way, the job waits for that. False also if it ended."""
        try:
            paths, making = self._performer.touches(job.order)
        except DriverError as exc:  # Gone, NameNotAllowed, or Stale from `directory`
            self._refuse(job, exc)
            return False
        if self._backlog.held_up(job, ticket, paths, making):
            return False
        if not self._fits(job.order):
            self._refuse(job, Stale("it built on Copies that have changed since"))
            return False
        self._backlog.begin(job, ticket, paths, making)
        return True
