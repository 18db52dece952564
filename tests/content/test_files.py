"""Content files: where they lie, what is synced when, and when they go."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from onitufs.content import files
from onitufs.content.files import SHARD_BITS, ContentStore
from onitufs.model.ids import ContentId, Seq


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContentStore]:
    store = ContentStore(tmp_path / "content")
    store.sync_through(Seq(0))  # from here on it knows what is on disk
    store.vouched(carried=False)
    yield store
    store.close()


def make(store: ContentStore, number: int, data: bytes = b"x") -> None:
    fd = store.create(ContentId(number))
    os.write(fd, data)
    os.close(fd)
    store.sealed(ContentId(number), Seq(number), len(data))


def read(store: ContentStore, number: int) -> bytes:
    with open(store.open(ContentId(number)), "rb") as file:
        return file.read()


class Watched:
    """Which files and directories are synced, by name, and how often all at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.all = 0
        syncfs = files._syncfs
        for call in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, call, self._watch(getattr(os, call)))

        def watched(fd: int) -> None:
            self.all += 1
            syncfs(fd)

        monkeypatch.setattr(files, "_syncfs", watched)

    def _watch(self, real):  # type: ignore[no-untyped-def]
        def watched(fd: int) -> None:
            self.names.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
            real(fd)

        return watched


@pytest.fixture
def watched(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def test_numbers_that_are_near_share_a_directory(store: ContentStore) -> None:
    for number in (1, 2, 1 << SHARD_BITS, 2**63):
        make(store, number, b"%d" % number)
    found = {str(p.relative_to(store.directory)) for p in store.directory.rglob("*") if p.is_file()}
    assert found == {"0/1", "0/2", "1/1000", "8000000000000/8000000000000000"}
    assert sorted(store.ids()) == [1, 2, 1 << SHARD_BITS, 2**63]
    assert read(store, 2**63) == b"%d" % 2**63


def test_what_is_not_ours_is_no_content(store: ContentStore) -> None:
    make(store, 5)
    (store.directory / "stray").write_text("x")
    (store.directory / "0" / "not hex").write_text("x")
    assert list(store.ids()) == [5]


def test_a_barrier_syncs_what_it_covers_once(store: ContentStore, watched: Watched) -> None:
    """The files that records up to it sealed, the directories that gained names, and nothing twice."""
    make(store, 0x11)
    make(store, 0x12)
    store.sealed(ContentId(0x11), Seq(0x13), 1)
    make(store, 0x14)
    store.sync_through(Seq(0x13))
    store.vouched(carried=False)
    assert sorted(watched.names) == sorted(["11", "12", "0", "content"])
    watched.names.clear()
    store.sync_through(Seq(0x14))
    store.vouched(carried=False)
    assert watched.names == ["14"]
    watched.names.clear()
    make(store, 0x15)
    store.sync_through(Seq(0x15))
    assert sorted(watched.names) == ["0", "15"]


def test_what_was_not_vouched_for_stays_due(store: ContentStore, watched: Watched) -> None:
    """The sync went well, but the journal that was to say so failed."""
    make(store, 0x11)
    store.sync_through(Seq(0x11))
    watched.names.clear()
    store.sync_through(Seq(0x11))
    assert "11" in watched.names
    assert store.undurable_bytes == 1
    store.vouched(carried=False)
    assert store.undurable_bytes == 0


def test_many_files_are_synced_at_once(store: ContentStore, watched: Watched) -> None:
    for number in range(1, files.SYNC_ONE_BY_ONE + 2):
        make(store, number)
    store.sync_through(Seq(100))
    assert (watched.all, watched.names) == (1, [])


def test_a_store_that_was_just_opened_syncs_everything(tmp_path: Path, store: ContentStore, watched: Watched) -> None:
    """The process before may have been killed with its bytes in the page cache."""
    again = ContentStore(store.directory)
    assert again.carry_through(Seq(0)) is None
    again.sync_through(Seq(0))
    assert watched.all == 1
    again.vouched(carried=False)
    again.sync_through(Seq(0))
    assert watched.all == 1
    again.close()


def test_content_that_was_let_go_is_not_synced(store: ContentStore, watched: Watched) -> None:
    """A temp file that is gone before the barrier costs nothing; one that goes later has to be there."""
    make(store, 0x11)
    make(store, 0x12)
    store.let_go(ContentId(0x11), Seq(0x13))
    store.let_go(ContentId(0x12), Seq(0x15))
    store.sync_through(Seq(0x14))
    assert "11" not in watched.names
    assert "12" in watched.names


def test_little_is_carried_by_the_journal(store: ContentStore, watched: Watched) -> None:
    make(store, 0x11, b"eleven")
    make(store, 0x12, b"twelve")
    assert store.carry_through(Seq(0x12)) == [(0x11, b"eleven"), (0x12, b"twelve")]
    store.vouched(carried=True)
    assert store.undurable_bytes == 0
    assert watched.names == []
    assert store.carry_through(Seq(0x12)) == []
    store.sync_through(Seq(0x12))  # before the journal forgets it
    assert {"11", "12", "0"} <= set(watched.names)


@pytest.mark.parametrize("sizes", [[files.CARRY_FILE_BYTES + 1], [files.CARRY_BYTES // 5] * 6])
def test_much_is_not(store: ContentStore, sizes: list[int]) -> None:
    for number, size in enumerate(sizes, 1):
        make(store, number, bytes(size))
    assert store.carry_through(Seq(len(sizes))) is None
    assert store.undurable_bytes == sum(sizes)


def test_a_file_that_grew_since_it_was_sealed_is_not_carried(store: ContentStore) -> None:
    make(store, 1)
    fd = store.open(ContentId(1))
    os.truncate(fd, 10 << 30)
    os.close(fd)
    assert store.carry_through(Seq(1)) is None


def test_content_goes_only_when_its_record_is_on_disk(store: ContentStore) -> None:
    make(store, 1)
    make(store, 2)
    store.let_go(ContentId(1), Seq(10))
    store.let_go(ContentId(2), Seq(11))
    assert not store.may_collect(Seq(9))
    store.collect_through(Seq(9))
    assert sorted(store.ids()) == [1, 2]
    assert store.may_collect(Seq(10))
    store.collect_through(Seq(10))
    assert sorted(store.ids()) == [2]


def test_a_directory_goes_with_its_last_file(store: ContentStore) -> None:
    """But not the one that new files are made in."""
    old, new = 1, 5 << SHARD_BITS
    make(store, old)
    make(store, new)
    store.let_go(ContentId(old), Seq(2))
    store.let_go(ContentId(new), Seq(3))
    store.collect_through(Seq(3))
    assert [p.name for p in store.directory.iterdir()] == ["5"]
    make(store, new + 1)


def test_collecting_twice_and_what_is_gone_already_are_fine(store: ContentStore) -> None:
    make(store, 1)
    store.let_go(ContentId(1), Seq(2))
    os.unlink(store.directory / "0" / "1")
    store.collect_through(Seq(2))
    store.collect_through(Seq(2))


def test_a_collected_file_is_forgotten_by_later_syncs(
    store: ContentStore, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    make(store, 1)
    assert store.carry_through(Seq(1)) is not None
    store.vouched(carried=True)
    store.let_go(ContentId(1), Seq(2))
    store.collect_through(Seq(2))
    store.sync_through(Seq(2))
    assert caplog.records == []
    assert "1" not in watched.names


def test_restored_bytes_replace_what_is_there(store: ContentStore) -> None:
    make(store, 1, b"longer than that")
    store.restore(ContentId(1), b"short")
    store.restore(ContentId(9 << SHARD_BITS), b"its directory was lost")
    assert read(store, 1) == b"short"
    assert read(store, 9 << SHARD_BITS) == b"its directory was lost"


def test_after_a_failure_syncfs_is_believed_no_more(
    store: ContentStore, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells once that some file failed; that may be one that is sealed, and counted on, only later."""

    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    for number in range(1, 30):
        make(store, number)
    with monkeypatch.context() as patched:
        patched.setattr(files, "_syncfs", broken)
        with pytest.raises(OSError, match="Input/output"):
            store.sync_through(Seq(30))
    while store.mend():
        pass
    store.sync_through(Seq(30))
    assert watched.all == 0
    assert len([n for n in watched.names if n not in ("0", "content")]) == 29
