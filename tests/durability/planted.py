"""Rules of durability.md left out one at a time, to show that the model test notices."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

import msgpack

from onitufs.catalog import journal, keys, recovery, store
from onitufs.catalog.journal import Record, Segment
from onitufs.catalog.store import Catalog
from onitufs.content import files
from onitufs.content.files import ContentStore
from onitufs.model.ids import ContentId, GenerationId, InodeNumber, Seq
from onitufs.volume import Volume
from onitufs.volume.history import History
from onitufs.volume.opened import Handle, HotMark
from onitufs.volume.tree import Changes

from . import world
from .world import Rules


class _NeverWaits(Volume):
    def settled_for_write(self, handle: Handle) -> bool:
        file = self.handles[handle].file
        if file.frozen and not file.inode.absent:
            content = file.inode.content
            self.catalog.commit({keys.hot(file.inode.number): content.to_bytes(8, "big")}, hot=True)
            self._hot[file.inode.number] = HotMark(content)
            file.frozen = False
        return not file.frozen


class NoWaitForHot(Rules):
    """D2 left out: bytes change before the mark is on disk."""

    volume = _NeverWaits


class _FilesUnsynced(ContentStore):
    def _sync_file(self, content: ContentId) -> None:
        pass


class _ShardsUnsynced(ContentStore):
    def _sync_shard(self, shard: int) -> None:
        pass


class _OneByOne(Rules):
    def patches(self) -> Iterator[Any]:
        yield mock.patch.object(files, "SYNC_ONE_BY_ONE", 1 << 30)
        yield mock.patch.object(files, "CARRY_BYTES", -1)


class ContentUnsynced(_OneByOne):
    """D3 (a) left out."""

    content = _FilesUnsynced


class NamesUnsynced(_OneByOne):
    """D3 (b) left out."""

    content = _ShardsUnsynced


class _UnlinksAtOnce(ContentStore):
    def let_go(self, content: ContentId, seq: Seq) -> None:
        super().let_go(content, seq)
        files.os.unlink(f"{content >> files.SHARD_BITS:x}/{content:x}", dir_fd=self._dir)


class UnlinkAtOnce(Rules):
    """D6 left out: content goes with the call that lets go of it."""

    content = _UnlinksAtOnce


class EveryRecordCounts(Rules):
    """D8 without the stop at the last B(S): after a power cut every valid record is replayed."""

    def boot_id(self, boot: int) -> str:
        return "always the same"


def _all_that_can_be_read(self: Segment) -> Iterator[Record]:
    data = os.pread(self.fd, os.fstat(self.fd).st_size, 0)
    at = journal.HEAD_BYTES
    while at + journal._RECORD_HEAD <= len(data):
        (crc,) = journal._CRC.unpack_from(data, at)
        length, number, seq, kind = journal._REST.unpack_from(data, at + 4)
        end = at + journal._RECORD_HEAD + length
        if number == self.id and end <= len(data) and crc == journal._crc32(data[at + 4 : end]):
            yield Record(seq, kind, data[at + journal._RECORD_HEAD : end], end)
            at = end
        else:
            at += 1


class NoStopAtBadRecord(Rules):
    """D8 without the stop at the first bad record: what is valid behind it counts."""

    def patches(self) -> Iterator[Any]:
        yield mock.patch.object(Segment, "records", _all_that_can_be_read)


class DroppedHotForgotten(Rules):
    """D8 without honouring the hot marks in what it drops."""

    def patches(self) -> Iterator[Any]:
        def replay(*args: Any) -> recovery.Recovered:
            found = recovery.replay(*args)
            found.dropped_hot.clear()
            return found

        yield mock.patch.object(store, "replay", replay)


class DroppedHotForOneContent(Rules):
    """D8 honouring a dropped mark for the content that it names only: it may hide an earlier one of the same inode."""

    def patches(self) -> Iterator[Any]:
        def replay(segments: list[Segment], boot_id: str, folded_seq: int) -> recovery.Recovered:
            found = recovery.replay(segments, boot_id, folded_seq)
            for segment in segments:
                for record in segment.records():
                    if record.kind == journal.RecordKind.HOT and record.seq > found.last_seq:
                        marks = msgpack.unpackb(record.payload, strict_map_key=False)
                        found.dropped_hot.update((k, v) for k, v in marks.items() if k in found.dropped_hot)
            return found

        yield mock.patch.object(store, "replay", replay)


class DroppedComeBack(Rules):
    """D8 without a sequence number above all that were seen."""

    def patches(self) -> Iterator[Any]:
        def replay(*args: Any) -> recovery.Recovered:
            found = recovery.replay(*args)
            found.seen_seq = found.last_seq
            return found

        yield mock.patch.object(store, "replay", replay)
        yield mock.patch.object(store, "SEQ_JUMP", 0)


class _BarrierFirst(Catalog):
    def _barrier_in_thread(self, seq: int, settle: bool) -> None:
        self._journal.append_barrier(seq, None)
        self._journal.sync()
        self._content.sync_through(Seq(seq))
        self._content.vouched(carried=False)


class BarrierBeforeContent(Rules):
    """D3 in the wrong order: B(S) is written before the content is on disk."""

    catalog = _BarrierFirst


class _FoldsAtOnce(Catalog):
    async def _fold(self) -> None:
        if self._frozen is None and self._changes:
            seq = self._journal.last_seq
            changes = dict(self._changes)
            await self._in_thread(self._table.fold, changes, seq)
        await super()._fold()


class FoldBeforeBarrier(Rules):
    """D7 without its barrier: LMDB learns of what is not on disk."""

    catalog = _FoldsAtOnce


class _JournalUnsynced(Catalog):
    def _barrier_in_thread(self, seq: int, settle: bool) -> None:
        with mock.patch.object(self._journal, "sync"):
            super()._barrier_in_thread(seq, settle)


class JournalUnsynced(Rules):
    """D3 (d) left out."""

    catalog = _JournalUnsynced


class _NeverMends(ContentStore):
    def mend(self) -> bool:
        return False


class SyncedAgain(Rules):
    """D4 without writing again what a sync failed on: the second sync reports success for lost pages."""

    content = _NeverMends


class JournalSyncedAgain(Rules):
    """The same for the journal."""

    def patches(self) -> Iterator[Any]:
        yield mock.patch.object(journal.Journal, "_rewrite", return_value=None)


class _Trusting(ContentStore):
    def sync_through(self, seq: Seq) -> None:
        self._trusts_syncfs = True
        super().sync_through(seq)


class SyncfsTrusted(Rules):
    """syncfs() after it has failed: it does not tell of a file that was sealed only then."""

    content = _Trusting

    def patches(self) -> Iterator[Any]:
        yield mock.patch.object(files, "SYNC_ONE_BY_ONE", -1)


class _NeverSettles(Catalog):
    def _barrier_in_thread(self, seq: int, settle: bool) -> None:
        super()._barrier_in_thread(seq, settle=False)


class FoldBeforeSettling(Rules):
    """D7 without settling: the journal forgets content that is nowhere else."""

    catalog = _NeverSettles


class CarriedForgotten(Rules):
    """D8 without restoring what the journal carried."""

    def patches(self) -> Iterator[Any]:
        yield mock.patch.object(ContentStore, "restore")


def _barrier_only(self: journal.Journal, seq: int, carried: Any) -> None:
    _append_barrier(self, seq, carried or ())


_append_barrier = journal.Journal.append_barrier


class CarriedForEver(Rules):
    """D3 without saying that content is in its own files now: a start puts older bytes over it."""

    def patches(self) -> Iterator[Any]:
        yield mock.patch.object(journal.Journal, "append_barrier", _barrier_only)


class SyncsAtOnce(Rules):
    """Two syncs of the journal at once: one is told that pages were lost, the other takes them for written."""

    def patches(self) -> Iterator[Any]:
        yield mock.patch.object(world, "SteppedLock", return_value=contextlib.nullcontext())


class _LetsGoOfAll(Volume):
    def _lose_link(self, changes: Any, inode: Any, file: Any, why: str = "deleted") -> ContentId:
        content = super()._lose_link(changes, inode, file, why)
        return content if inode.nlink or self._is_open(inode.number) else ContentId(inode.content)


class KeptAndLetGo(Rules):
    """History names what is deleted, and it is let go of all the same."""

    volume = _LetsGoOfAll


def _keep_in_advance(self: History, changes: Any, *args: Any, **named: Any) -> bytes:
    own: dict[bytes, bytes | None] = {}
    key = _keep(self, own, *args, **named)
    self._catalog.commit(own)
    return key


_keep = History.keep


class KeptByAnotherRecord(Rules):
    """History names the bytes in a record of its own: a stop between the two leaves them with two owners."""

    def patches(self) -> Iterator[Any]:
        yield mock.patch.object(History, "keep", _keep_in_advance)


class RestoredAndKept(Rules):
    """What is restored stays in history, which lets go of it one day."""

    def patches(self) -> Iterator[Any]:
        yield mock.patch.object(History, "drop")


class _ArrivalsUntold(Volume):
    def arrived(
        self, number: InodeNumber, generation: GenerationId, content: ContentId, also: Changes | None = None
    ) -> None:
        with mock.patch.object(self.content, "sealed"):
            super().arrived(number, generation, content, also)


class ArrivalsUnsynced(Rules):
    """What was fetched is recorded, and no barrier hears of it."""

    volume = _ArrivalsUntold


class _BelievedTooSoon(Volume):
    def begin_fetch(self) -> tuple[ContentId, int]:
        content, fd = super().begin_fetch()
        inode = next(inode for inode in self._live.values() if inode.absent)
        inode.content, inode.absent = content, False
        self._commit({}, inode)
        inode.absent = True
        return content, fd


class BelievedBeforeItCame(Rules):
    """The record says that the bytes are here before they are."""

    volume = _BelievedTooSoon


PLANTED = (
    ArrivalsUnsynced,
    BelievedBeforeItCame,
    KeptAndLetGo,
    KeptByAnotherRecord,
    RestoredAndKept,
    NoWaitForHot,
    ContentUnsynced,
    NamesUnsynced,
    UnlinkAtOnce,
    EveryRecordCounts,
    NoStopAtBadRecord,
    DroppedHotForgotten,
    DroppedHotForOneContent,
    DroppedComeBack,
    BarrierBeforeContent,
    FoldBeforeBarrier,
    JournalUnsynced,
    SyncedAgain,
    JournalSyncedAgain,
    SyncfsTrusted,
    SyncsAtOnce,
    FoldBeforeSettling,
    CarriedForgotten,
    CarriedForEver,
)
