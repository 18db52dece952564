"""The journal: what happened, in order, before anybody is told that it happened.

Segments of a fixed size, filled with zeros ahead, because syncing an overwrite is a third cheaper than syncing growth.
A segment's head carries its id, the id of the boot that wrote it, and the first sequence number it may hold. A record
carries a CRC over its length, the segment's id, its sequence number, its kind and its payload; so what an older use of
the same file left behind the end can never be taken for a record. Little-endian throughout.
"""

import contextlib
import enum
import errno
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from threading import Lock

_PIECE_BYTES = 256 << 10
SEGMENT_BYTES = 8 << 20
HEAD_BYTES = 512  # one sector: it is written as a whole or not at all
_MAGIC = b"OnituJ01"
_HEAD = Struct("<I8sQ36sQ")  # CRC of the rest, magic, segment id, boot id, first seq
_CRC = Struct("<I")
_REST = Struct("<IQQB")  # payload length, segment id, seq, kind
_RECORD_HEAD = _CRC.size + _REST.size
_ZEROS = bytes(1 << 20)

_pack_crc = _CRC.pack
_pack_rest = _REST.pack
_crc32 = zlib.crc32


class RecordKind(enum.IntEnum):
    """What a record's payload is."""

    CHANGES = 1  # a transaction
    HOT = 2  # a transaction whose hot marks are honoured even where the record itself is dropped
    # The others take no seq of their own: they have that of the record before them.
    BARRIER = 3  # B(S): everything up to S is on disk, content included
    CONTENT = 4  # content id, then all its bytes: what the next B(S) vouches for lies here, not yet in its own file
    SETTLED = 5  # a B(S) for which all content is in its own files: CONTENT before it no longer counts


_OF_HISTORY = (RecordKind.CHANGES, RecordKind.HOT)


class Record:
    """One valid record, as read back."""

    __slots__ = ("end", "kind", "payload", "seq")

    def __init__(self, seq: int, kind: int, payload: bytes, end: int) -> None:
        self.seq = seq
        self.kind = kind
        self.payload = payload
        self.end = end


class Segment:
    """One segment file. `first_seq` 0: no valid head. `end`: where the next record goes."""

    __slots__ = ("boot_id", "end", "fd", "first_seq", "id", "last_seq", "path")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.id = 0
        self.boot_id = ""
        self.first_seq = 0
        self.last_seq = 0
        self.end = HEAD_BYTES

    def read_head(self) -> None:
        """Learn id, boot id and first seq from the file; leaves them 0 if the head is not valid."""
        head = os.pread(self.fd, _HEAD.size, 0)
        try:
            crc, magic, number, boot, first = _HEAD.unpack(head)
        except struct.error:
            return
        if magic == _MAGIC and crc == _crc32(head[4:]):
            self.id, self.boot_id, self.first_seq = number, boot.rstrip(b"\0").decode("ascii", "replace"), first

    def begin(self, number: int, boot_id: str, first_seq: int) -> None:
        """Write the head of a new life of this file. Nothing is synced here. Raises OSError, nothing changed."""
        rest = _HEAD.pack(0, _MAGIC, number, boot_id.encode("ascii"), first_seq)[4:]
        _write(self.fd, _pack_crc(_crc32(rest)) + rest, 0)
        self.id, self.boot_id, self.first_seq = number, boot_id, first_seq
        self.last_seq = first_seq - 1
        self.end = HEAD_BYTES

    def records(self) -> Iterator[Record]:
        """Valid records in order; ends at the first wrong CRC, segment id, seq or length. Reads no more than that."""
        size = os.fstat(self.fd).st_size
        data = bytearray()

        def have(end: int) -> bool:
            """Read on until byte `end` is here; False if the file has none."""
            while len(data) < end <= size:
                piece = os.pread(self.fd, max(end - len(data), _PIECE_BYTES), len(data))
                if not piece:
                    return False
                data.extend(piece)
            return end <= len(data)

        at = HEAD_BYTES
        last = self.first_seq - 1
        while have(at + _RECORD_HEAD):
            (crc,) = _CRC.unpack_from(data, at)
            length, number, seq, kind = _REST.unpack_from(data, at + _CRC.size)
            end = at + _RECORD_HEAD + length
            expected = last + 1 if kind in _OF_HISTORY else last
            if number != self.id or seq != expected or not have(end):
                return
            record = bytes(data[at + _CRC.size : end])
            if crc != _crc32(record):
                return
            yield Record(seq, kind, record[_RECORD_HEAD - _CRC.size :], end)
            last, at = seq, end


class Journal:
    """The segments of one state directory. Appends come from the loop, except B(S), from the barrier's thread."""

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Opens what is there; `begin` makes it writable. Raises OSError."""
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._boot_id = ""
        directory.mkdir(mode=0o700, exist_ok=True)
        self.segments = [self._open(path) for path in sorted(directory.glob("segment-*"))]
        for segment in self.segments:
            segment.read_head()
        self.segments.sort(key=lambda s: s.id)
        self._spare: list[Segment] = []
        self._full: list[Segment] = []  # rotated, not yet folded, oldest first
        self._unsynced: list[Segment] = []  # rotated since the last successful sync
        self._damaged: set[Segment] = set()  # a sync of these failed: the kernel may have dropped their pages
        self._active: Segment
        # Held for microseconds, by the loop and the barrier's thread only: an append is "read end, write, move end".
        self._lock = Lock()
        # One sync at a time: the kernel tells of lost pages once, and the other one would take them for written.
        self._syncing = Lock()
        self.last_seq = 0
        self.synced_seq = 0

    # -- start ----------------------------------------------------------------------------------------------------

    def begin(self, boot_id: str, last_seq: int) -> None:
        """Forget all old records (they must be folded) and start a fresh segment after `last_seq`. Blocks."""
        number = max((s.id for s in self.segments), default=0) + 1
        for extra in self.segments[2:]:
            os.close(extra.fd)
            os.unlink(extra.path)
        self._spare = self.segments[:2]
        self.segments = []
        for segment in self._spare:
            self._fit(segment)
        while len(self._spare) < 2:
            self._spare.append(self._make())
        self._active = self._spare.pop(0)
        self._active.begin(number, boot_id, last_seq + 1)
        self.last_seq = self.synced_seq = last_seq
        self._boot_id = boot_id

    def _open(self, path: Path) -> Segment:
        return Segment(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _make(self) -> Segment:
        taken = {s.path.name for s in (*self._spare, *self._full)}
        name = next(n for n in (f"segment-{i}" for i in range(len(taken) + 1)) if n not in taken)
        segment = self._open(self._directory / name)
        self._fit(segment)
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        return segment

    def _fit(self, segment: Segment) -> None:
        """Make the file exactly one segment long, with blocks on disk for all of it."""
        size = os.fstat(segment.fd).st_size
        if size == self._segment_bytes:
            return
        if size > self._segment_bytes:
            os.ftruncate(segment.fd, self._segment_bytes)
        for at in range(size, self._segment_bytes, len(_ZEROS)):
            _write(segment.fd, _ZEROS[: self._segment_bytes - at], at)
        os.fsync(segment.fd)

    # -- appending ------------------------------------------------------------------------------------------------

    @property
    def bytes_used(self) -> int:
        """Bytes in the active segment."""
        return self._active.end

    def append(self, payload: bytes, kind: int = RecordKind.CHANGES) -> int:
        """Write one transaction; its seq. One write(). Raises OSError, and then nothing has changed."""
        with self._lock:
            active = self._active
            seq = self.last_seq + 1
            rest = _pack_rest(len(payload), active.id, seq, kind) + payload
            record = _pack_crc(_crc32(rest)) + rest
            end = active.end
            try:
                written = os.pwrite(active.fd, record, end)
            except OSError:
                self._wipe(active, end, len(record))
                raise
            if written != len(record):
                self._wipe(active, end, written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(active.path))
            active.end = end + written
            active.last_seq = self.last_seq = seq
            return seq

    def append_barrier(self, seq: int, carried: Iterable[tuple[int, bytes]] | None) -> None:
        """Append the bytes of `carried` content files and B(seq), in one write(). In the barrier's thread.

        None: nothing is carried, all content is in its own files. Raises OSError.
        """
        kind = RecordKind.SETTLED if carried is None else RecordKind.BARRIER
        parts = [(RecordKind.CONTENT, content.to_bytes(8, "little") + data) for content, data in carried or ()]
        parts.append((kind, seq.to_bytes(8, "little")))
        with self._lock:
            active = self._active
            records = bytearray()
            for part, payload in parts:
                rest = _pack_rest(len(payload), active.id, self.last_seq, part) + payload
                records += _pack_crc(_crc32(rest)) + rest
            _write(active.fd, records, active.end)
            active.end += len(records)

    def _wipe(self, segment: Segment, at: int, length: int) -> None:
        """Best effort: no half record stays where a shorter one may be written next."""
        with contextlib.suppress(OSError):  # the CRC refuses what is left there
            os.pwrite(segment.fd, bytes(length), at)

    # -- syncing, in threads --------------------------------------------------------------------------------------

    def sync(self) -> int:
        """fdatasync every segment with unsynced records; the last seq that is then on disk. Blocks. Raises OSError."""
        with self._syncing:
            with self._lock:
                seq = self.last_seq
                segments = [*self._unsynced, self._active]
            for segment in segments:
                if segment in self._damaged:
                    self._rewrite(segment)
                try:
                    os.fdatasync(segment.fd)
                except OSError:
                    self._damaged.add(segment)
                    raise
                self._damaged.discard(segment)
            with self._lock:
                self._unsynced = [s for s in self._unsynced if s not in segments]
                self.synced_seq = max(self.synced_seq, seq)
        return seq

    def _rewrite(self, segment: Segment) -> None:
        """After a failed sync: write the records again, for a second sync may report success for lost pages."""
        with self._lock:
            end, last = segment.end, segment.last_seq
        reread = segment.first_seq - 1
        for record in segment.records():
            reread = record.seq
            if record.end >= end:
                break
        if reread < last:
            raise OSError(errno.EIO, "journal pages were lost after a failed sync", str(segment.path))
        for at in range(0, end, len(_ZEROS)):
            _write(segment.fd, os.pread(segment.fd, min(len(_ZEROS), end - at), at), at)

    # -- folding --------------------------------------------------------------------------------------------------

    def rotate(self) -> None:
        """Go on in the spare segment. On the loop. Raises OSError, nothing changed."""
        spare = self._spare[0]
        spare.begin(self._active.id + 1, self._boot_id, self.last_seq + 1)
        with self._lock:
            self._spare.pop(0)
            self._full.append(self._active)
            self._unsynced.append(self._active)
            self._active = spare

    def recycle(self, folded_seq: int) -> None:
        """Records up to `folded_seq` are in LMDB: their segments may be used again. Blocks. Raises OSError."""
        while self._full and self._full[0].last_seq <= folded_seq:
            self._fit(self._full[0])
            with self._lock:
                self._spare.append(self._full.pop(0))

    def close(self) -> None:
        """Idempotent."""
        for segment in {*self.segments, *self._spare, *self._full, *((self._active,) if self._boot_id else ())}:
            os.close(segment.fd)
        self.segments, self._spare, self._full, self._boot_id = [], [], [], ""


def _write(fd: int, data: bytes | bytearray, at: int) -> None:
    if os.pwrite(fd, data, at) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
