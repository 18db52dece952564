"""The journal: what it hands back, where it stops, and that a failed append changes nothing."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onitufs.catalog import journal as journal_module
from onitufs.catalog.journal import HEAD_BYTES, Journal, RecordKind, Segment

SEGMENT_BYTES = 64 << 10


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal", SEGMENT_BYTES)
    journal.begin("boot", 99)
    yield journal
    journal.close()


def read_back(journal: Journal) -> list[tuple[int, int, bytes]]:
    segment = the_segment(journal)
    try:
        return [(r.seq, r.kind, r.payload) for r in segment.records()]
    finally:
        os.close(segment.fd)


def the_segment(journal: Journal) -> Segment:
    """The newest segment, read from its file."""
    paths = sorted(journal._directory.iterdir())
    segments = []
    for path in paths:
        segment = Segment(path, os.open(path, os.O_RDWR))
        segment.read_head()
        segments.append(segment)
    newest = max(segments, key=lambda s: s.id)
    for segment in segments:
        if segment is not newest:
            os.close(segment.fd)
    return newest


def damage(journal: Journal, at: int, data: bytes) -> None:
    with journal._active.path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_records_come_back_in_order_with_their_numbers(journal: Journal) -> None:
    assert journal.append(b"one") == 100
    journal.append_barrier(100, [(7, b"bytes of seven")])
    assert journal.append(b"two", RecordKind.HOT) == 101
    journal.append_barrier(101, None)
    assert read_back(journal) == [
        (100, RecordKind.CHANGES, b"one"),
        (100, RecordKind.CONTENT, (7).to_bytes(8, "little") + b"bytes of seven"),
        (100, RecordKind.BARRIER, (100).to_bytes(8, "little")),
        (101, RecordKind.HOT, b"two"),
        (101, RecordKind.SETTLED, (101).to_bytes(8, "little")),
    ]


@given(st.data())
def test_any_flipped_bit_stops_the_replay_before_its_record(data: st.DataObject) -> None:
    """Whatever a disk did to one byte, no record is read that was not written, and none after it."""
    with tempfile.TemporaryDirectory() as directory:
        journal = Journal(Path(directory) / "journal", 4096)
        journal.begin("boot", 99)
        payloads = data.draw(st.lists(st.binary(max_size=40), min_size=1, max_size=6))
        ends = [HEAD_BYTES]
        for payload in payloads:
            journal.append(payload)
            ends.append(journal.bytes_used)
        at = data.draw(st.integers(HEAD_BYTES, ends[-1] - 1))
        segment = the_segment(journal)
        byte = os.pread(segment.fd, 1, at)[0] ^ (1 << data.draw(st.integers(0, 7)))
        os.pwrite(segment.fd, bytes([byte]), at)
        intact = sum(end <= at for end in ends[1:])
        assert [r.payload for r in segment.records()] == payloads[:intact]
        os.close(segment.fd)
        journal.close()


def test_what_an_older_use_of_the_segment_left_is_not_read(journal: Journal) -> None:
    """A recycled segment still holds old records behind the new ones, with matching sequence numbers even."""
    for _ in range(5):
        journal.append(b"x" * 50)
    segment = the_segment(journal)
    segment.begin(segment.id + 1, "boot", 100)
    rest = journal_module._pack_rest(50, segment.id, 100, RecordKind.CHANGES) + b"y" * 50
    os.pwrite(segment.fd, journal_module._pack_crc(journal_module._crc32(rest)) + rest, HEAD_BYTES)
    assert [r.payload for r in segment.records()] == [b"y" * 50]
    os.close(segment.fd)


def test_a_gap_in_the_numbers_stops_the_replay(journal: Journal) -> None:
    journal.append(b"one")
    journal.last_seq += 1  # as if a record had been lost between two that are valid
    journal.append(b"three")
    assert [payload for _, _, payload in read_back(journal)] == [b"one"]


def test_a_damaged_head_says_that_there_is_nothing(journal: Journal) -> None:
    journal.append(b"one")
    damage(journal, 20, b"\xff")
    segment = Segment(Path("x"), os.open(journal._active.path, os.O_RDWR))
    segment.read_head()
    assert segment.first_seq == 0
    os.close(segment.fd)


@pytest.mark.parametrize("how", ["error", "short"])
def test_a_failed_append_changes_nothing(journal: Journal, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The disk is full in the middle of a record: the next append takes its place, and its number."""
    journal.append(b"one")
    used, real = journal.bytes_used, os.pwrite

    def full(fd: int, data: bytes, at: int) -> int:
        if data.count(0) == len(data):
            return real(fd, data, at)
        real(fd, data[:30], at)
        if how == "short":
            return 30
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            journal.append(b"two" * 30)
    assert journal.bytes_used == used
    assert [payload for _, _, payload in read_back(journal)] == [b"one"]
    assert journal.append(b"2") == 101
    assert [payload for _, _, payload in read_back(journal)] == [b"one", b"2"]


def test_two_segments_take_turns(journal: Journal) -> None:
    files = {path.name for path in journal._directory.iterdir()}
    for turn in range(1, 6):
        seq = journal.append(b"turn %d" % turn)
        journal.rotate()
        journal.recycle(seq)
        assert read_back(journal) == []
    assert {path.name for path in journal._directory.iterdir()} == files
    assert len(files) == 2


def test_a_segment_that_grew_is_cut_back_when_it_is_recycled(journal: Journal) -> None:
    """Nobody is refused because a segment is full; it grows, and is made fit again."""
    path = journal._active.path
    seq = journal.append(bytes(3 * SEGMENT_BYTES))
    assert [len(payload) for _, _, payload in read_back(journal)] == [3 * SEGMENT_BYTES]
    journal.rotate()
    journal.recycle(seq)
    assert path.stat().st_size == SEGMENT_BYTES


def test_sync_covers_the_segment_before(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is on disk only if all before it are, also those in the segment that was just left."""
    synced: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(fd), real(fd))[1])
    before = journal._active.fd
    journal.append(b"one")
    journal.rotate()
    journal.append(b"two")
    assert journal.sync() == 101
    assert synced == [before, journal._active.fd]
    synced.clear()
    journal.append(b"three")
    journal.sync()
    assert synced == [journal._active.fd]


def test_after_a_failed_sync_the_records_are_written_again(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may drop pages that it could not write and call the next sync a success."""
    journal.append(b"one")
    written: list[tuple[int, int]] = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: (written.append((at, len(data))), real(fd, data, at))[1])
    with monkeypatch.context() as patched:

        def broken(fd: int) -> None:
            raise OSError(5, "Input/output error")

        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="Input/output"):
            journal.sync()
    assert journal.synced_seq == 99
    assert written == []
    assert journal.sync() == 100
    assert written == [(0, journal.bytes_used)]
    assert [payload for _, _, payload in read_back(journal)] == [b"one"]


def test_pages_that_cannot_be_read_back_are_an_error_for_good(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(b"one")

    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="Input/output"):
            journal.sync()
    damage(journal, HEAD_BYTES, bytes(40))
    for _ in range(2):
        with pytest.raises(OSError, match="lost after a failed sync"):
            journal.sync()
