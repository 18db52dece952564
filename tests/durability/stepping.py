"""Threads that take one step when told to: what blocks runs in a real thread, but only as far as the script says."""

import threading
from collections.abc import Callable
from typing import Any

import trio

from .simulated_disk import SimulatedDisk, Stopped


class _Job:
    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], stepper: "Stepper") -> None:
        self.go = threading.Semaphore(0)
        self.rested = threading.Semaphore(0)  # it waits at its next change of the disk, or has ended
        self.ended = trio.Event()
        self.alive = True
        self.result: Any = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, args, stepper))
        self._thread.start()
        self.rested.acquire()

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], stepper: "Stepper") -> None:
        stepper.mine.job = self
        try:
            self.result = function(*args)
        except BaseException as exc:
            self.error = exc
        self.alive = False
        self.rested.release()

    def step(self) -> None:
        if self.alive:
            self.go.release()
            self.rested.acquire()

    def join(self) -> None:
        self._thread.join()


class SteppedLock:
    """A lock for threads only: to wait for it is to rest."""

    def __init__(self, stepper: "Stepper") -> None:
        self._lock = threading.Lock()
        self._stepper = stepper

    def __enter__(self) -> None:
        while not self._lock.acquire(blocking=False):
            self._stepper.rest()
            if self._stepper.disk.stopped:
                raise Stopped

    def __exit__(self, *exc: object) -> None:
        self._lock.release()


class Stepper:
    """`in_thread` for the catalog. One thread or the script runs at any moment, never two."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.mine = threading.local()
        self.jobs: list[_Job] = []
        self.restless: Callable[[], bool] = bool  # True: no thread may rest now
        self.disk = disk
        disk.gate = self.rest

    def rest(self) -> None:
        """In a thread: wait until it is told to go on."""
        if self.disk.stopped or self.restless():
            return
        job = self.mine.job
        job.rested.release()
        job.go.acquire()

    async def in_thread(self, function: Callable[..., Any], /, *args: Any) -> Any:
        job = _Job(function, args, self)
        self.jobs.append(job)
        if job.alive:
            await job.ended.wait()
        else:
            await trio.lowlevel.checkpoint()
        self.jobs.remove(job)
        job.join()
        if job.error is not None:
            raise job.error
        return job.result

    def step(self, which: int) -> None:
        """Let one of the waiting threads make its next change of the disk."""
        if self.jobs:
            job = self.jobs[which % len(self.jobs)]
            job.step()
            if not job.alive:
                job.ended.set()

    def end(self) -> None:
        """The disk has stopped: let every thread run into that."""
        for job in self.jobs:
            while job.alive:
                job.step()
            job.ended.set()
