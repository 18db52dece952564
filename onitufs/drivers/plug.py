"""The Plug: everything between one entry's orders and its driver.

Its queue is a window in memory on the catalog's want and have: losing it costs time, never data. It computes paths when
an order's turn comes (a directory above may have been renamed since), keeps orders apart that touch each other's
paths, groups small files for drivers that take batches, and reports each order's end exactly once.
"""

import random as random_module
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from onitufs.model.bandwidth import UNLIMITED, Bandwidth
from onitufs.model.copies import Place
from onitufs.model.errors import AnotherPlace, Conflict, DriverError, Gone, NameNotAllowed, QuotaFull, Stale, TooLarge
from onitufs.model.ids import EntryName, FileId
from onitufs.model.orders import Done, Failed, Interest, Order, Outcome, Put
from onitufs.model.source import Source

from .accounts import Accounts, Gate
from .backlog import Backlog
from .backoff import Backoff
from .bandwidth import Buckets
from .begun import BegunUploads
from .calling import Handlers, Runner, Threads
from .carrying import Carrier
from .chunking import Chunks, GaveWay
from .claims import Ticket
from .condition import Condition
from .handlers import RemotePath
from .health import Health
from .lanes import Lanes
from .looking import Lookers
from .opening import Opener
from .performing import Performer
from .progress import Pace, SourceTrouble, Transfer, rest, unhurried
from .queue import Job, Line
from .registry import ManifestedDriver
from .sight import Sight
from .space import Space
from .starting import Starter
from .supervisor import Supervisor, said
from .tending import tend
from .unfinished import Unfinished, outcome_of


class Plug(Sight):
    """One entry: its queue, its driver, its health. All methods but the async ones are plain, and for the loop only.

    What it holds is seen through the methods of Sight.

    `path_of` gives the remote path of a Place now, and raises Gone if a directory above it has no Copy. `directory`:
    the wanted Place of a `missing` directory; `directory_mode` its permission bits. `fits`: whether an order still
    starts from the Copies as they are, asked when its turn comes; else it is reported as Failed(stale=True).
    `interest`: in what a running Put of a large file does, asked now and then; if it is lost, the same is reported.
    `open_source` opens the bytes of a Put (raises Stale). `report` gets each order's end; the Copy is committed by it,
    before anything else of this file is begun, and the Referee asked again. `remember_identity` is called once, before
    the first work ever.
    `unfinished`: orders of an earlier run whose end is not known; they are looked at and reported before all others.
    `pace`: how long a lane rests after its work; called in threads, too. `accounts`: those that entries may share.
    Failed with Gone or Conflict, of an order other than a Put, means that the object of its `copy` is no longer there,
    or no longer ours: the Copy is to be forgotten.
    An order that was submitted while another one of its file ran, and not again by `report` of that one, is reported
    as Failed(stale=True): what it built on has changed.
    """

    def __init__(
        self,
        entry: EntryName,
        driver: ManifestedDriver,
        options: Any,
        *,
        open_source: Callable[[Put], Source],
        path_of: Callable[[Place], RemotePath],
        directory: Callable[[FileId], Place],
        report: Callable[[Outcome], None],
        identity: str | None,
        remember_identity: Callable[[str], None],
        work_dir: Path,
        directory_mode: Callable[[FileId], int] = lambda _: 0o755,
        fits: Callable[[Order], bool] = lambda _: True,
        interest: Callable[[Put], Interest] = lambda _: Interest.WANTED,
        pace: Pace = unhurried,
        unfinished: Sequence[Unfinished] = (),
        lanes: int = 4,
        bound: int = 2000,
        runner: Runner | None = None,
        random: random_module.Random | None = None,
        now_s: Callable[[], float] = time.time,
        accounts: Accounts | None = None,
        bandwidth: Bandwidth = UNLIMITED,
    ) -> None:
        super().__init__(entry, driver, Health(now_s), runner, Buckets.of(bandwidth))
        self._open_source = open_source
        self._fits = fits
        self._pace = pace
        self._unfinished = list(unfinished)
        self._report = report
        self._identity = identity
        self._remember_identity = remember_identity
        self.on_remade: Callable[[RemotePath], None] = lambda path: None  # it was removed with all that was in it
        self.on_missing: Callable[[RemotePath], bool] = lambda path: False  # it has gone; whether somebody looks for it
        self.is_another_place = False  # what answered last is not the place that the entry was
        runner = runner if runner is not None else Threads(lanes + 2)
        self._opener = Opener(
            entry, driver, options, work_dir=work_dir, runner=runner, hint=self.health.advise, now_s=now_s
        )
        self._now_s = now_s
        self._backoff = Backoff(random if random is not None else random_module.Random())  # noqa: S311
        self._gate = Gate(self._backoff, self._woke, now_s, self.bandwidth.down)
        self._accounts = accounts if accounts is not None else Accounts()
        self._supervisor = Supervisor(entry, self._session, self.health, self._backoff, self._gate)
        self._path_of = path_of
        self._directory = directory
        self._directory_mode = directory_mode
        self._backlog = Backlog(report, interest, self._backoff, bound, self._woke)
        self._lanes = Lanes(lanes)
        self._condition = Condition(self.health, self._lanes, self._gate, self._backoff, self._supervisor, self._woke)
        self.space = Space()
        self._begun = BegunUploads(work_dir / "uploads", now_s)
        self._made: set[FileId] = set()
        self._wake = trio.Event()
        self._performer: Performer | None = None
        self._working: set[trio.CancelScope] = set()

    # -- orders -------------------------------------------------------------------------------------------------------

    @property
    def room(self) -> bool:
        """Whether the queue is below its bound. `on_room` is called when it is again."""
        return self._backlog.room

    @property
    def on_room(self) -> Callable[[], None] | None:
        return self._backlog.on_room

    @on_room.setter
    def on_room(self, on_room: Callable[[], None]) -> None:
        self._backlog.on_room = on_room

    def __len__(self) -> int:
        """How many orders are queued or running."""
        return len(self._backlog)

    def submit(self, order: Order) -> None:
        """Take an order. It replaces a queued one of the same file; while one is running it waits for it."""
        self._backlog.submit(order)

    def withdraw(self, file: FileId) -> None:
        """Forget the order of this file that is queued or waits; a running one runs on."""
        self._condition.fits_now(file)
        self._backlog.withdraw(file)
        self._begun.unwant_all(file)

    def pending(self, file: FileId) -> bool:
        """Whether an order of this file is queued or running."""
        return self._backlog.pending(file)

    def problems(self) -> Mapping[FileId, tuple[str, str]]:
        """For each file whose order failed and is tried again: reason and remedy."""
        return self._backlog.problems()

    # -- what a person says -------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """End running orders (they are queued again) and let go of the entry, so that its disk can be unmounted."""
        self._supervisor.pause()

    def suspend(self, message: str, remedy: str) -> None:
        """Order nothing more until `resume`: running orders end, and are queued again. Looking goes on."""
        self._condition.suspend(message, remedy)
        for scope in self._working:
            scope.cancel()

    def resume(self) -> None:
        """End a pause, every delay and a suspension; go on at once."""
        self._condition.resume(is_connected=self.is_connected)
        self._backlog.hurry()
        self._supervisor.resume()
        self._woke()

    def _woke(self) -> None:
        self._wake.set()

    # -- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled. Raises nothing: trouble and bugs end in `health`."""
        self.bandwidth.begin()
        try:
            await self._supervisor.run()
        finally:
            self._gate.leave()

    def accept_place(self) -> None:
        """From now on the entry is what answers, whatever it was before. To be followed by resume()."""
        self._identity = None

    async def probe(self) -> None:
        """See whether the entry could be used, without `run` and without changing it. Raises DriverError."""
        handlers = await self._opener.open(self._identity, self._gate)
        try:
            await handlers.call("probe")
        finally:
            await self._opener.close(handlers)

    def _new_carrier(self, handlers: Handlers) -> Carrier:
        return Carrier(
            handlers,
            self.entry,
            path_of=self._path_of,
            directory=self._directory,
            directory_mode=self._directory_mode,
            made=self._made,
            now_s=self._now_s,
            algorithm=self.driver.manifest.digest,
            remade=lambda path: self.on_remade(path),  # noqa: PLW0108  whoever is to be told comes later
            looked_for=lambda path: self.on_missing(path),  # noqa: PLW0108
        )

    def _new_chunks(self, handlers: Handlers) -> Chunks:
        return Chunks(
            handlers,
            self._begun,
            still_wanted=self._backlog.still_wanted,
            gives_way=self._backlog.gives_way,
            went_well=self._condition.well,
            pace=self._pace,
            up=self.bandwidth.up,
        )

    async def _session(self) -> None:
        handlers = await self._opener.open(self._identity, self._gate)
        lookers = Lookers(self._looking(handlers), self._condition.troubled, self._condition.broken)
        try:
            identity = await self._connect(handlers)
            if self._identity is None:
                self._remember_identity(identity)
                self._identity = identity
            account = handlers.get("account")
            if account is not None:
                self._gate.join(self._accounts.get(self.driver.name, account))
            chunks = self._new_chunks(handlers)
            await self._begun.load(handlers.runner.run)
            self._performer = Performer(
                handlers, self._new_carrier(handlers), chunks, self._open_source, self.bandwidth.up, self._pace
            )
            while self._unfinished:
                outcome = await outcome_of(self._unfinished[-1], handlers)
                self._unfinished.pop()
                self._report(outcome)
            self._condition.connected()
            self._begin_looking(lookers)
            async with trio.open_nursery() as nursery:
                if handlers.has("tend"):
                    nursery.start_soon(tend, self.entry, handlers)
                if handlers.has("free_space"):
                    nursery.start_soon(self.space.follow, self.entry, lookers.handlers)
                if chunks.chunk_bytes:
                    nursery.start_soon(chunks.sweep, self.entry, self.pending)
                await self._dispatch(nursery, self._performer)
        finally:
            await self._end_looking(lookers)
            await self._opener.close(handlers)

    async def _connect(self, handlers: Handlers) -> str:
        self.is_another_place = False
        try:
            identity: str = await handlers.call("connect")
        except AnotherPlace:
            self.is_another_place = True
            raise
        return identity

    async def _dispatch(self, nursery: trio.Nursery, performer: Performer) -> None:
        def refuse(job: Job, why: Exception) -> None:
            self._end(job, _failed(job.order, why))

        def begin(line: Line, jobs: list[Job], ticket: Ticket, trial: int) -> None:
            nursery.start_soon(self._work, line, jobs, ticket, trial)

        starter = Starter(self._backlog, self._lanes, performer, self._fits, refuse)
        while True:
            self._wake = trio.Event()
            until = self._condition.held_until(anything_runs=self._backlog.anything_runs)
            if until is None:
                until = starter.start(begin)
                if self._lanes.probing and not self._backlog.anything_runs:
                    self._condition.well()  # nothing to try it with
            self._backlog.tell_room()
            with trio.move_on_at(until):
                await self._wake.wait()

    # -- work: one task a job or batch ---------------------------------------------------------------------------------

    async def _work(self, line: Line, jobs: list[Job], ticket: Ticket, trial: int) -> None:
        began_s = trio.current_time()
        busy = True

        def answered() -> None:
            """The next batch may go to the service while the ends of this one are written down."""
            nonlocal busy
            if self._pace(trio.current_time() - began_s) <= 0:
                busy = False
                self._lanes.end(line, trial)
                self._woke()

        try:
            try:
                with trio.CancelScope() as scope:
                    self._working.add(scope)
                    if len(jobs) > 1:
                        await self._batch(jobs, answered)
                    else:
                        await self._single(jobs[0])
            finally:
                self._working.discard(scope)
                self._backlog.all_back(jobs)
                self._backlog.release(ticket)
            if busy:
                await rest(self._pace, trio.current_time() - began_s)
        finally:
            if busy:
                self._lanes.end(line, trial)
            self._woke()

    async def _single(self, job: Job) -> None:
        assert self._performer is not None
        order = job.order
        transfer = Transfer(order, job.size, trio.current_time)
        self.transfers.append(transfer)
        try:
            done = await self._performer.one(order, transfer)
        except GaveWay:
            self._backlog.back(job)
        except Exception as exc:  # noqa: BLE001  sorted out there; a bug is raised again
            if transfer.came_nearer:  # a large file on a line that often breaks comes nearer each time
                job.failures = 0
            self._failed(job, exc)
        else:
            self._end(job, done)
        finally:
            self.transfers.remove(transfer)

    async def _batch(self, jobs: list[Job], answered: Callable[[], None]) -> None:
        assert self._performer is not None
        transfers = [Transfer(job.order, job.size, trio.current_time) for job in jobs]
        self.transfers += transfers
        singly: list[Job] = []
        try:
            ends = await self._performer.batch(transfers)
            answered()
            for number, (job, end) in enumerate(zip(jobs, ends, strict=True)):
                if isinstance(end, Conflict | Gone):
                    singly.append(job)
                elif isinstance(end, Exception):
                    self._failed(job, end)
                else:
                    self._end(job, end)
                if number % 8 == 7:  # ends are written down on the loop: others have a turn, too
                    await trio.lowlevel.checkpoint()
        finally:
            self.transfers = [transfer for transfer in self.transfers if transfer not in transfers]
        for job in singly:
            await self._single(job)

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _end(self, job: Job, outcome: Outcome) -> None:
        """Report a job's end. The service answered, whatever it said."""
        self._condition.fits_now(job.order.file)
        if isinstance(outcome, Done):
            if isinstance(job.order, Put):
                self._lanes.full_until = None
            self._condition.well()
            self._made.difference_update(directory for directory, _ in outcome.made)
        self._backlog.end(job, outcome)

    def _failed(self, job: Job, exc: Exception) -> None:
        """Report a failure that only the Referee or a person can help with, keep the job for all others."""
        if isinstance(exc, NameNotAllowed | TooLarge | Conflict | Stale | Gone):
            self._end(job, _failed(job.order, exc))
            return
        job.failures += 1
        until = trio.current_time() + self._backoff.delay_s(job.failures, getattr(exc, "retry_after_s", None))
        job.problem = said(exc)
        self._backlog.back(job, until)
        if isinstance(exc, SourceTrouble):
            return
        if isinstance(exc, QuotaFull):
            self._condition.full(job.order.file, until, job.problem)
            self.space.ask_again()
            return
        if not isinstance(exc, DriverError):
            raise exc
        self._condition.troubled(exc)


def _failed(order: Order, exc: Exception) -> Failed:
    return Failed(order=order, error=exc, again=False, stale=isinstance(exc, Conflict | Stale | Gone))
