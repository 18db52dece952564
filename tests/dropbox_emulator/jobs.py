"""Batches that the service works on while the caller asks how far they are."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dropbox import async_

from .errors import Refused
from .settings import Settings


@dataclass(eq=False)
class Job:
    """`kind` is the route that made it, `work` gives the outcome and is called once."""

    kind: str
    account_id: str
    work: Callable[[], Any]
    polls_left: int
    outcome: Any = None
    lost: bool = False


class Jobs:
    """All jobs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)

    def start(self, kind: str, account_id: str, work: Callable[[], Any]) -> str:
        job = Job(kind, account_id, work, self._settings.job_polls)
        if self._settings.job_work == "at_launch":
            job.outcome = work()
        name = f"34g93hh34h04y384084-{next(self._numbers)}"
        self._jobs[name] = job
        return name

    def lose_all(self) -> None:
        """From now on, asking for any of them is an internal error."""
        for job in self._jobs.values():
            job.lost = True

    def fails(self) -> bool:
        """Whether the outcome of the batch that comes now is to be a failure."""
        if self._settings.jobs_that_fail == 0:
            return False
        self._settings.jobs_that_fail -= 1
        return True

    def entry_fails(self, path: str) -> bool:
        """Whether this entry of a batch is to fail."""
        for word in self._settings.entries_that_fail:
            if word in path:
                self._settings.entries_that_fail.remove(word)
                return True
        return False

    def poll(self, kind: str, account_id: str, name: str) -> Any:
        """The outcome, or None while it is in progress. Raises Refused with a PollError."""
        job = self._jobs.get(name)
        if job is None or job.kind != kind or job.account_id != account_id:
            raise Refused(async_.PollError.invalid_async_job_id)
        if job.lost:
            raise Refused(async_.PollError.internal_error)
        if job.polls_left > 0:
            job.polls_left -= 1
            return None
        if job.outcome is None:
            job.outcome = job.work()
        return job.outcome
