"""A snapshot keeps one state of a file while programs go on writing to it."""

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from onitufs.content import side
from onitufs.content.files import ContentStore
from onitufs.content.side import BLOCK_BYTES, Snapshot
from onitufs.model.errors import Stale
from onitufs.model.ids import ContentId

ONE = ContentId(1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContentStore]:
    store = ContentStore(tmp_path / "content")
    yield store
    store.close()


class Writer:
    """Writes as the volume does: the snapshots first."""

    def __init__(self, store: ContentStore, data: bytes) -> None:
        self._store = store
        self.fd = store.create(ONE)
        os.write(self.fd, data)

    def write(self, at: int, data: bytes) -> None:
        for reader in self._store.readers(ONE):
            reader.save_before(at, len(data))
        os.pwrite(self.fd, data, at)

    def truncate(self, size: int) -> None:
        for reader in self._store.readers(ONE):
            reader.save_before(size, os.fstat(self.fd).st_size - size)
        os.truncate(self.fd, size)


def whole(snapshot: Snapshot) -> bytes:
    return snapshot.read(0, snapshot.size)


def test_later_writes_are_not_seen(store: ContentStore) -> None:
    data = os.urandom(3 * BLOCK_BYTES + 500)
    writer = Writer(store, data)
    snapshot = store.snapshot(ONE, len(data))
    writer.write(10, b"changed")
    writer.write(BLOCK_BYTES - 3, b"across two blocks")
    writer.write(len(data), b"appended")
    writer.write(len(data) - 5, b"the end and behind it")
    assert whole(snapshot) == data
    assert snapshot.read(len(data) - 10, 1000) == data[-10:]
    assert snapshot.read(len(data) + 5, 10) == b""
    snapshot.close()


def test_nothing_is_lost_by_truncation(store: ContentStore) -> None:
    data = os.urandom(2 * BLOCK_BYTES + 7)
    writer = Writer(store, data)
    snapshot = store.snapshot(ONE, len(data))
    writer.truncate(100)
    writer.write(50, b"x" * 3 * BLOCK_BYTES)
    assert whole(snapshot) == data
    snapshot.close()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 70), st.integers(0, 40)), max_size=20), st.integers(0, 60))
@settings(deadline=None, max_examples=150)
def test_any_order_of_writes_and_truncations_leaves_it_as_it_was(
    changes: list[tuple[bool, int, int]], size: int
) -> None:
    """In blocks of 16 bytes, so that they meet the edges."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patched:
        patched.setattr(side, "BLOCK_BYTES", 16)
        store = ContentStore(Path(directory))
        data = os.urandom(size)
        writer = Writer(store, data)
        snapshot = store.snapshot(ONE, size)
        for number, (cut, at, length) in enumerate(changes):
            if cut:
                if at < os.fstat(writer.fd).st_size:
                    writer.truncate(at)
            else:
                writer.write(at, bytes([number]) * length)
            half = snapshot.read(size // 3, size // 2)
            assert half == data[size // 3 : size // 3 + size // 2]
        assert whole(snapshot) == data
        snapshot.close()
        os.close(writer.fd)
        store.close()


def test_a_reader_in_a_thread_never_sees_half_of_a_write(store: ContentStore, tmp_path: Path) -> None:
    """Many rounds of a real thread that copies while the loop overwrites every block."""
    size = 6 * BLOCK_BYTES
    writer = Writer(store, bytes(size))
    random = Random(1)
    for number in range(1, 40):
        before = os.pread(writer.fd, size, 0)
        snapshot = store.snapshot(ONE, size)
        results: list[bytes] = []
        copy = os.open(tmp_path / f"copy{number}", os.O_RDWR | os.O_CREAT)

        def transfer(snapshot: Snapshot = snapshot, results: list[bytes] = results, copy: int = copy) -> None:
            results.append(snapshot.copy_into(copy))
            results.append(snapshot.read(0, snapshot.size))

        thread = threading.Thread(target=transfer)
        thread.start()
        while thread.is_alive():
            at = random.randrange(size - 5000)
            writer.write(at, bytes([number % 256]) * random.randrange(1, 5000))
        thread.join()
        assert results[0] in (blake3(before).digest(), b"")
        assert results[1] == before
        assert os.pread(copy, size + 1, 0) == before
        os.close(copy)
        (tmp_path / f"copy{number}").unlink()
        snapshot.close()


def test_beyond_its_bound_it_goes_stale_and_the_write_goes_on(store: ContentStore) -> None:
    size = 4 * BLOCK_BYTES
    writer = Writer(store, bytes(size))
    snapshot = store.snapshot(ONE, size)
    snapshot._bound = 2 * BLOCK_BYTES
    for block in range(2):
        writer.write(block * BLOCK_BYTES, b"new")
    assert whole(snapshot) == bytes(size)
    writer.write(2 * BLOCK_BYTES, b"new")
    assert os.pread(writer.fd, 3, 2 * BLOCK_BYTES) == b"new"
    with pytest.raises(Stale, match="rewritten"):
        snapshot.read(0, 10)
    with pytest.raises(Stale, match="rewritten"):
        snapshot.copy_into(os.open(store.directory / "copy", os.O_RDWR | os.O_CREAT))
    snapshot.close()


def test_without_room_for_old_bytes_it_goes_stale(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: the transfer is given up, the program's write is not refused because of it."""
    writer = Writer(store, b"old")
    snapshot = store.snapshot(ONE, 3)

    def full(directory: Path) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(side, "_unnamed_file", full)
    writer.write(0, b"new")
    with pytest.raises(Stale, match="No space left"):
        whole(snapshot)
    snapshot.close()


def test_a_file_that_is_shorter_than_it_should_be_is_an_error(store: ContentStore) -> None:
    """Never a short copy that looks whole."""
    writer = Writer(store, b"1234567890")
    snapshot = store.snapshot(ONE, 10)
    os.truncate(writer.fd, 5)  # behind its back
    with pytest.raises(OSError, match="shorter"):
        whole(snapshot)
    snapshot.close()


def test_it_outlives_the_name_of_its_file(store: ContentStore) -> None:
    Writer(store, b"gone but read")
    snapshot = store.snapshot(ONE, 13)
    os.unlink(store.directory / "0" / "1")
    assert whole(snapshot) == b"gone but read"
    snapshot.close()


def test_snapshots_of_two_states_live_side_by_side(store: ContentStore) -> None:
    writer = Writer(store, b"first")
    first = store.snapshot(ONE, 5)
    writer.write(0, b"again")
    second = store.snapshot(ONE, 5)
    writer.write(0, b"third")
    assert (whole(first), whole(second)) == (b"first", b"again")
    first.close()
    assert store.readers(ONE) == [second]
    writer.write(0, b"fourth")
    assert whole(second) == b"again"
    second.close()
    assert not store.readers(ONE)


def test_close_waits_for_a_read_in_progress(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor must not be closed, and reused, under a thread that is reading from it."""
    Writer(store, b"data")
    snapshot = store.snapshot(ONE, 4)
    reading, go_on, closed = threading.Event(), threading.Event(), list[int]()
    real_read, real_close = os.pread, os.close

    def slow(fd: int, length: int, at: int) -> bytes:
        reading.set()
        go_on.wait()
        return real_read(fd, length, at)

    monkeypatch.setattr(os, "pread", slow)
    monkeypatch.setattr(os, "close", lambda fd: (closed.append(fd), real_close(fd))[1])
    results: list[bytes] = []
    thread = threading.Thread(target=lambda: results.append(snapshot.read(0, 4)))
    thread.start()
    reading.wait()
    snapshot.close()
    assert closed == []
    go_on.set()
    thread.join()
    assert results == [b"data"]
    assert closed == [snapshot._fd]
    snapshot.close()
    assert closed == [snapshot._fd]
    with pytest.raises(Stale, match="closed"):
        snapshot.read(0, 4)


def test_no_side_file_stays_behind(store: ContentStore) -> None:
    writer = Writer(store, b"old")
    snapshot = store.snapshot(ONE, 3)
    writer.write(0, b"new")
    assert [p.name for p in store.directory.iterdir()] == ["0"]
    snapshot.close()
