"""What placing needs of files that are not here: all bytes before they can be sent, the first ones to tell a type."""

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from onitufs.content.media_type import HEAD_BYTES, media_type
from onitufs.model.errors import OnituError
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import FileId, GenerationId, InodeNumber
from onitufs.model.orders import Order, Put
from onitufs.model.state import Decision
from onitufs.volume import Volume

from .fetching import Fetcher

AT_ONE_TIME = 4
AGAIN_S = 30.0  # after what could not be brought
MOST_QUEUED = 2000  # the unsettled index knows the others

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Job:
    number: InodeNumber
    generation: GenerationId
    type_for: bytes | None  # the name, if only the media type is wanted


class Bringing:
    """Brings a few files at one time. `ask` is told of each that has ended, well or not."""

    def __init__(self, volume: Volume, fetcher: Fetcher, ask: Callable[[FileId], None]) -> None:
        self._volume = volume
        self._fetcher = fetcher
        self._ask = ask
        self._queue: dict[FileId, _Job] = {}
        self._running: dict[FileId, tuple[_Job, trio.CancelScope]] = {}
        self._failed: dict[FileId, tuple[_Job, str, float]] = {}
        self._overflowed = False
        self.on_room: Callable[[], None] = lambda: None
        self._wake = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Bring what is wanted, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONE_TIME):
                nursery.start_soon(self._work)
            task_status.started()

    def need_type(self, file: FileId, name: bytes, inode: Inode) -> str:
        """Bring the first bytes of an absent file and note what they say it is. Returns why that failed, or ""."""
        return self._need(file, _Job(inode.number, inode.generation, name))

    def held_back(self, file: FileId, inode: Inode, decision: Decision) -> Decision:
        """The decision about an absent file without the orders that send its bytes; those are brought instead.

        They are also brought if the decision says so."""
        kept: list[Order] = [o for o in decision.orders if not (isinstance(o, Put) and o.kind is Kind.FILE)]
        if len(kept) == len(decision.orders) and not decision.bring:
            self.not_needed(file)
            return decision
        problem = self._need(file, _Job(inode.number, inode.generation, None))
        problems = (*decision.problems, f"not placed yet: {problem}") if problem else decision.problems
        return replace(decision, orders=tuple(kept), problems=problems)

    def not_needed(self, file: FileId) -> None:
        """Nothing is to be brought for this file now."""
        self._queue.pop(file, None)
        self._failed.pop(file, None)
        if file in self._running:
            self._running[file][1].cancel()

    def try_again(self) -> None:
        """An entry is up again: what could not be brought may be there."""
        failed, self._failed = self._failed, {}
        for file in failed:
            self._ask(file)

    def next_try_s(self, file: FileId) -> float | None:
        """Seconds until what failed is to be tried again: ask about the file then. None: it is tried, or none did."""
        failed = self._failed.get(file)
        left_s = 0.0 if failed is None else failed[2] - trio.current_time()
        return left_s if left_s > 0 else None

    def _need(self, file: FileId, job: _Job) -> str:
        running = self._running.get(file)
        if running is not None:
            if running[0] != job:
                running[1].cancel()  # its end asks again
            return ""
        failed = self._failed.get(file)
        if failed is not None and failed[0] == job and trio.current_time() < failed[2]:
            return failed[1]
        if file not in self._queue and len(self._queue) >= MOST_QUEUED:
            self._overflowed = True
            return failed[1] if failed is not None else ""
        self._queue[file] = job
        self._wake.set()
        self._wake = trio.Event()
        return failed[1] if failed is not None and failed[0] == job else ""

    async def _work(self) -> None:
        while True:
            while not self._queue:
                await self._wake.wait()
            file = next(iter(self._queue))
            job = self._queue.pop(file)
            if self._overflowed and len(self._queue) < MOST_QUEUED // 2:
                self._overflowed = False
                self.on_room()
            with trio.CancelScope() as scope:
                self._running[file] = job, scope
                try:
                    await self._bring(job)
                    self._failed.pop(file, None)
                except (OnituError, OSError, trio.TooSlowError) as error:
                    reason = str(error) or os.strerror(errno.ETIMEDOUT)
                    self._failed[file] = job, reason, trio.current_time() + AGAIN_S
                except Exception as bug:  # which keeps this file from its place, and no other
                    log.exception("a bug", extra={"inode": job.number})
                    self._failed[file] = job, f"a bug: {type(bug).__name__}: {bug}", trio.current_time() + AGAIN_S
            del self._running[file]
            self._ask(file)

    async def _bring(self, job: _Job) -> None:
        if not self._volume.is_absent(job.number, job.generation):
            await trio.lowlevel.checkpoint()
            return
        if job.type_for is not None:
            head = await self._fetcher.glance(job.number, 0, HEAD_BYTES)
            if head is not None and self._volume.is_absent(job.number, job.generation):
                self._volume.note_media_type(job.number, media_type(job.type_for, head))
            return
        await self._fetcher.fetch_all(job.number)
