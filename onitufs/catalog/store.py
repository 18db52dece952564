"""The catalog: a key-value store that answers from memory and LMDB, and forgets nothing it has answered.

Reads ask the active memtable, then the frozen one, then LMDB. A commit is one journal record and a dict update. What
reaches the disk when is docs/durability.md; rule numbers (D1..D9) in comments are its.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Literal

import msgpack
import trio

from onitufs.model.ids import FIRST_FREE, ContentId, InodeNumber, Seq

from . import keys
from .journal import SEGMENT_BYTES, Journal, RecordKind
from .lock import StateLock
from .memtable import MISSING, Memtable, Missing, overlaid
from .needs import Content, InThread
from .recovery import replay
from .rounds import Rounds
from .table import Table

log = logging.getLogger(__name__)

BARRIER_EVERY_S = 5.0  # D5
FOLD_BYTES = 4 << 20  # D7
FOLD_EVERY_S = 30.0
FULL_BYTES = 6 << 20
"""With a fold running, callers wait from here on: what is left of the segment is for those already admitted."""
COLLECT_EVERY_S = 1.0
THREADS = 4  # a barrier, a sync of the journal, a fold, and a collection
SEQ_JUMP = 1 << 24
"""More than one segment can hold records: no number lost with a record that we cannot see is used again."""

_pack = msgpack.Packer(autoreset=True, use_bin_type=True).pack


class Catalog:
    """See the module. Plain methods never block for long and never await: they are for the loop.

    `on_durable` is called on the loop whenever `durable_seq` has advanced. `recovered_hot`: inodes whose bytes may
    differ from their sealed generation since the last run. `lost_to_power_cut`: records were dropped at this start.
    """

    def __init__(
        self, lock: StateLock, journal: Journal, table: Table, content: Content, in_thread: InThread, last_seq: int
    ) -> None:
        self._lock: StateLock | None = lock
        self._journal = journal
        self._table = table
        self._content = content
        self._in_thread = in_thread
        self._active = Memtable()
        self._changes = self._active.changes
        self._frozen: Memtable | None = None
        self._frozen_seq = 0
        self._fold_at = FOLD_BYTES
        self._stirred = False  # a commit since the barrier task last found nothing to do
        self._wake_barrier = trio.Event()
        self._barrier_asked = trio.Event()
        self._wake_fold = trio.Event()
        self._wake_collect = trio.Event()
        self._fold_ended = trio.Event()
        self._fold_error: OSError | None = None
        self._one_fold = trio.Lock()
        self._one_collect = trio.Lock()
        self._settle = False  # the next barrier is to leave nothing in the journal alone
        self._barriers = Rounds(lambda: journal.last_seq, self._barrier_round)
        self._syncs = Rounds(lambda: journal.last_seq, self._sync_round)
        self.durable_seq = Seq(last_seq)
        self.recovered_hot: frozenset[InodeNumber] = frozenset()
        self.lost_to_power_cut = False
        self.on_durable: Callable[[Seq], None] | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        content: Content,
        *,
        boot_id: str | None = None,
        in_thread: InThread | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> "Catalog":
        """Lock, check, replay, fold, begin anew (D8). Blocks for at most two folds' worth of journal.

        Raises AlreadyRunning, StateError, OSError. `boot_id`: this boot's, default the kernel's. The other two are for
        simulations.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if boot_id is None:
            boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        with ExitStack() as stack:
            lock = StateLock(directory)
            stack.callback(lock.release)
            table = Table(directory)
            stack.callback(table.close)
            journal = Journal(directory / "journal", segment_bytes)
            stack.callback(journal.close)
            table.check_not_lost(journal_in_use=any(s.first_seq for s in journal.segments))
            found = replay(journal.segments, boot_id, table.folded_seq)
            for lost, data in found.content.items():
                content.restore(ContentId(lost), data)
            content.sync_through(Seq(found.last_seq))
            last_seq = found.seen_seq + SEQ_JUMP if found.seen_seq else FIRST_FREE - 1
            # From here no older record counts, whether it was kept or dropped: its seq is below folded_seq.
            table.fold(found.changes | found.dropped_hot, last_seq)
            journal.begin(boot_id, last_seq)
            _sync_directory(directory)
            stack.pop_all()
        in_thread = in_thread or partial(trio.to_thread.run_sync, limiter=trio.CapacityLimiter(THREADS))
        catalog = cls(lock, journal, table, content, in_thread, last_seq)
        catalog.lost_to_power_cut = bool(found.dropped)
        catalog.recovered_hot = frozenset(
            InodeNumber(keys.number(k)) for k, _ in catalog.scan(keys.HOT, limit=sys.maxsize)
        )
        if found.dropped:
            log.warning("%s: a power cut took the last %d changes", directory, found.dropped)
        return catalog

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        value: bytes | Literal[Missing.MISSING] | None = self._changes.get(key, MISSING)
        if value is not MISSING:
            return value
        if self._frozen is not None:
            value = self._frozen.changes.get(key, MISSING)
            if value is not MISSING:
                return value
        return self._table.get(key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """Up to `limit` pairs whose key begins with `prefix` and is larger than the whole key `after`, in order."""
        changed, at = self._active.keys_after(prefix, after)
        if self._frozen is not None:
            older, first = self._frozen.keys_after(prefix, after)
            if at == len(changed):
                changed, at = older, first
            elif first < len(older):
                changed, at = sorted({*changed[at:], *older[first:]}), 0
        with closing(self._table.walk(prefix, after)) as rows:
            return overlaid(rows, changed, at, self._unfolded, limit)

    def _unfolded(self, key: bytes) -> bytes | None:
        if key in self._changes:
            return self._changes[key]
        assert self._frozen is not None
        return self._frozen.changes[key]

    # -- changing -------------------------------------------------------------------------------------------------

    @property
    def next_seq(self) -> Seq:
        """The seq that the next commit will get; what it names takes its number from here."""
        return Seq(self._journal.last_seq + 1)

    def commit(self, changes: Mapping[bytes, bytes | None], *, hot: bool = False) -> Seq:
        """One transaction: journalled by one write(), then visible (D1). None deletes.

        `hot`: the hot marks in it count even if a power cut drops the record. Raises OSError; then nothing has changed.
        """
        seq = self._journal.append(_pack(changes), RecordKind.HOT if hot else RecordKind.CHANGES)
        self._active.update(changes)
        if not self._stirred:
            self._stirred = True
            self._wake_barrier.set()
        if self._journal.bytes_used > self._fold_at:
            self._wake_fold.set()
        return Seq(seq)

    @property
    def full(self) -> bool:
        """The memtable is large while the last one is still being folded: await `room` before changing more (D7)."""
        return self._frozen is not None and self._journal.bytes_used > FULL_BYTES

    async def room(self) -> None:
        """Wait until not `full`. Raises OSError if folding fails, so that nobody waits for a broken disk."""
        while self.full:
            ended = self._fold_ended
            await ended.wait()
            if self._fold_error is not None:
                raise OSError(errno.EIO, "the catalog cannot be written") from self._fold_error
        await trio.lowlevel.checkpoint()

    # -- durability -----------------------------------------------------------------------------------------------

    def journal_durable(self, seq: Seq) -> bool:
        """Is this record itself on disk (which says nothing about content)?"""
        return self._journal.synced_seq >= seq

    async def sync_journal(self, seq: Seq) -> None:
        """Wait until record `seq` is on disk: what a hot mark needs (D2). Raises OSError(EIO)."""
        if self._journal.synced_seq < seq:
            await self._syncs.join(seq)

    async def barrier(self, seq: Seq) -> None:
        """Wait until all records up to `seq`, and all content they sealed, are on disk (D3). Raises OSError(EIO)."""
        assert seq <= self._journal.last_seq
        if self.durable_seq < seq:
            await self._barriers.join(seq)

    def request_barrier(self) -> None:
        """Have a barrier soon; nobody waits."""
        self._barrier_asked.set()
        self._wake_barrier.set()

    async def _sync_round(self, aim: int) -> None:
        try:
            await self._in_thread(self._journal.sync)
        except OSError as exc:
            raise OSError(errno.EIO, f"syncing the journal failed: {exc}") from exc

    async def _barrier_round(self, aim: int) -> None:
        if aim <= self.durable_seq and not self._settle:
            return
        settle = self._settle
        try:
            while self._content.mend():
                await trio.lowlevel.checkpoint()
            # `aim` was taken on the loop between two calls, so every seal up to it has been told to the content store.
            await self._in_thread(self._barrier_in_thread, aim, settle)
        except OSError as exc:
            raise OSError(errno.EIO, f"syncing failed: {exc}") from exc
        if settle:
            self._settle = False
        self.durable_seq = Seq(max(aim, self.durable_seq))
        if self._content.may_collect(self.durable_seq):
            self._wake_collect.set()
        if self.on_durable is not None:
            self.on_durable(self.durable_seq)

    def _barrier_in_thread(self, seq: int, settle: bool) -> None:
        carried = None if settle else self._content.carry_through(Seq(seq))
        if carried is None:
            self._content.sync_through(Seq(seq))
        self._journal.append_barrier(seq, carried)
        self._journal.sync()
        self._content.vouched(carried=carried is not None)

    async def fold(self) -> None:
        """Move what is in memory to LMDB (D7), or finish the fold that failed before. Raises OSError."""
        async with self._one_fold:
            try:
                await self._fold()
                self._fold_error = None
            except OSError as exc:
                self._fold_error = exc
                raise
            finally:
                ended, self._fold_ended = self._fold_ended, trio.Event()
                ended.set()

    async def _fold(self) -> None:
        if self._frozen is None:
            if not self._changes:
                return
            self._journal.rotate()
            self._frozen, self._active = self._active, Memtable()
            self._changes = self._active.changes
            self._frozen_seq = self._journal.last_seq
        # What the journal carries has to be in its own files before the journal may forget it.
        self._settle = True
        await self._barriers.join(self._frozen_seq, fresh=True)
        await self._in_thread(self._fold_in_thread, self._frozen, self._frozen_seq)
        self._frozen = None

    def _fold_in_thread(self, frozen: Memtable, seq: int) -> None:
        self._table.fold(frozen.changes, seq)
        self._journal.recycle(seq)

    # -- background -----------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Barriers while anything is undurable, folds, and unlinking of content let go. Runs until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_durable)
            nursery.start_soon(self._keep_folding)
            nursery.start_soon(self._keep_collecting)
            task_status.started()

    async def _keep_durable(self) -> None:
        while True:
            await self._wake_barrier.wait()
            with trio.move_on_after(BARRIER_EVERY_S):
                await self._barrier_asked.wait()
            self._wake_barrier, self._barrier_asked = trio.Event(), trio.Event()
            self._stirred = False
            try:
                await self.barrier(Seq(self._journal.last_seq))
                if self._content.may_collect(self.durable_seq):  # let go, though no barrier was needed
                    self._wake_collect.set()
            except OSError as exc:
                log.error("%s; trying again in %.0f s", exc, BARRIER_EVERY_S)  # noqa: TRY400
                self._stirred = True
                self._wake_barrier.set()

    async def _keep_folding(self) -> None:
        while True:
            with trio.move_on_after(FOLD_EVERY_S):
                await self._wake_fold.wait()
            self._wake_fold = trio.Event()
            try:
                await self.fold()
            except OSError as exc:
                log.error("%s; trying again in %.0f s", exc, BARRIER_EVERY_S)  # noqa: TRY400
                await trio.sleep(BARRIER_EVERY_S)

    async def _keep_collecting(self) -> None:
        while True:
            await self._wake_collect.wait()
            self._wake_collect = trio.Event()
            try:
                await self.collect()
            except OSError as exc:
                log.error("cannot remove old content: %s", exc)  # noqa: TRY400
            await trio.sleep(COLLECT_EVERY_S)  # many at a time: each thread costs more than an unlink

    async def collect(self) -> None:
        """Unlink the content that durable records let go of (D6). Cancelled: the rest is found by a later scan."""
        async with self._one_collect:
            await self._in_thread(self._content.collect_through, self.durable_seq)

    def close(self) -> None:
        """Barrier, fold, unlock; nothing else may be running. Blocks. Idempotent. Raises OSError, unlocked all the same
        (what was not folded is replayed at the next start)."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        try:
            while self._content.mend():
                pass
            seq = self._journal.last_seq
            self._barrier_in_thread(seq, settle=True)
            self.durable_seq = Seq(seq)
            self._content.collect_through(Seq(seq))
            if self._frozen is not None:
                self._table.fold(self._frozen.changes, self._frozen_seq)
                self._frozen = None
            if self._changes:
                self._table.fold(self._changes, seq)
        finally:
            self._table.close()
            self._journal.close()
            lock.release()


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
