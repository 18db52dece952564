"""D8: what a start believes of what it finds, by whether the machine has booted since."""

from pathlib import Path

import pytest

from onitufs.catalog import keys
from onitufs.catalog.journal import Journal
from onitufs.catalog.store import SEQ_JUMP, Catalog
from onitufs.catalog.table import Table
from onitufs.content.files import ContentStore
from onitufs.model.ids import ContentId, InodeNumber, Seq

from .conftest import Opener
from .killing import reopened

KEY, OTHER = keys.meta("key"), keys.meta("other")
HOT = keys.hot(InodeNumber(77))


def last(catalog: Catalog) -> Seq:
    return Seq(catalog.next_seq - 1)


async def test_a_killed_daemon_loses_nothing_that_was_answered(state: Path, catalog: Catalog) -> None:
    """The page cache outlives the process: no sync was asked for, none was made."""
    catalog.commit({KEY: b"1"})
    catalog.commit({KEY: b"2", OTHER: b"x"})
    catalog.commit({OTHER: None})
    with reopened(state) as later:
        assert later.get(KEY) == b"2"
        assert later.get(OTHER) is None
        assert not later.lost_to_power_cut


async def test_a_power_cut_takes_what_no_barrier_vouches_for(state: Path, catalog: Catalog) -> None:
    catalog.commit({KEY: b"1"})
    await catalog.barrier(last(catalog))
    catalog.commit({KEY: b"2"})
    with reopened(state, boot_id="another boot") as later:
        assert later.get(KEY) == b"1"
        assert later.lost_to_power_cut


async def test_a_synced_journal_alone_vouches_for_nothing(state: Path, catalog: Catalog) -> None:
    """The record is on disk, but the content it names may not be."""
    catalog.commit({KEY: b"1"})
    await catalog.sync_journal(last(catalog))
    assert catalog.journal_durable(last(catalog))
    with reopened(state, boot_id="another boot") as later:
        assert later.get(KEY) is None
        assert later.lost_to_power_cut


async def test_hot_marks_count_in_records_that_are_dropped(state: Path, catalog: Catalog) -> None:
    """Bytes changed as soon as the mark was on disk; so the mark holds, whatever else of the record is dropped."""
    catalog.commit({KEY: b"1"})
    await catalog.barrier(last(catalog))
    seq = catalog.commit({HOT: (5).to_bytes(8, "big"), KEY: b"2"}, hot=True)
    catalog.commit({HOT: None})
    await catalog.sync_journal(seq)
    with reopened(state, boot_id="another boot") as later:
        assert later.recovered_hot == {77}
        assert later.get(HOT) == keys.ANY_CONTENT
        assert later.get(KEY) == b"1"


async def test_an_ordinary_mark_is_dropped_with_its_record(state: Path, catalog: Catalog) -> None:
    """Only marks that somebody waits for are honoured; others belong to files that are dropped as well."""
    catalog.commit({HOT: (5).to_bytes(8, "big")})
    with reopened(state, boot_id="another boot") as later:
        assert later.recovered_hot == set()


async def test_hot_marks_are_known_after_a_kill(state: Path, catalog: Catalog) -> None:
    catalog.commit({HOT: (5).to_bytes(8, "big")}, hot=True)
    catalog.commit({keys.hot(InodeNumber(78)): (6).to_bytes(8, "big")}, hot=True)
    catalog.commit({HOT: None})
    with reopened(state) as later:
        assert later.recovered_hot == {78}
        assert later.get(keys.hot(InodeNumber(78))) == (6).to_bytes(8, "big")


async def test_dropped_records_never_come_back(state: Path, opened: Opener) -> None:
    """After a power cut history goes on; a second one must not find the first one's dropped records fitting again."""
    catalog = opened()
    catalog.commit({KEY: b"1"})
    await catalog.barrier(last(catalog))
    for number in range(20):
        catalog.commit({OTHER: b"dropped %d" % number})
    with reopened(state, boot_id="second boot") as second:
        assert second.get(OTHER) is None
        first_free = second.next_seq
        second.commit({KEY: b"2"})
        later_state = second._table._directory.parent
        with reopened(later_state, boot_id="second boot") as third:
            assert third.get(OTHER) is None
            assert third.get(KEY) == b"2"
        with reopened(later_state, boot_id="third boot") as fourth:
            assert fourth.get(OTHER) is None
            assert fourth.get(KEY) == b"1"
            assert fourth.next_seq > first_free


async def test_numbers_go_on_far_above_all_that_were_seen(state: Path, catalog: Catalog) -> None:
    """A content file or the kernel may still know the number of a record that was dropped."""
    for _ in range(5):
        catalog.commit({KEY: b"1"})
    with reopened(state, boot_id="another boot") as later:
        assert later.next_seq > catalog.next_seq + SEQ_JUMP - 2


@pytest.mark.parametrize("step", [(Table, "fold"), (Journal, "begin")])
async def test_a_start_that_fails_half_way_is_made_again(
    state: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch, step: tuple[type, str]
) -> None:
    """Nothing is recycled before what it held is in LMDB, and what is in LMDB is not replayed over it."""
    catalog = opened()
    catalog.commit({KEY: b"1"})
    catalog.commit({KEY: b"2", OTHER: b"x"})
    with monkeypatch.context() as patched:
        patched.setattr(*step, full_disk)
        with pytest.raises(OSError, match="No space"), reopened(state):
            pass
    with reopened(state.with_name(state.name + "-later")) as later:
        assert later.get(KEY) == b"2"
        assert later.get(OTHER) == b"x"


def full_disk(*args: object) -> None:
    raise OSError(28, "No space left on device")


async def test_records_in_two_segments_are_one_history(
    state: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the rotation and the end of a fold: the frozen records and the newer ones are both there."""
    catalog.commit({KEY: b"1", OTHER: b"x"})
    monkeypatch.setattr(catalog._table, "fold", full_disk)
    with pytest.raises(OSError, match="No space"):
        await catalog.fold()
    monkeypatch.undo()
    catalog.commit({KEY: b"2"})
    with reopened(state) as later:
        assert later.get(KEY) == b"2"
        assert later.get(OTHER) == b"x"
    with reopened(state, boot_id="another boot") as later:  # the fold's barrier had come that far
        assert later.get(KEY) == b"1"
        assert later.get(OTHER) == b"x"


async def test_what_the_journal_carried_is_put_back_after_a_power_cut(state: Path, opened: Opener) -> None:
    """A small file was fsynced by way of the journal; its own file never reached the disk."""
    catalog = opened()
    content = catalog._content
    assert isinstance(content, ContentStore)
    number = ContentId(catalog.next_seq)
    with open(content.create(number), "wb") as file:
        file.write(b"saved")
    content.sealed(number, catalog.commit({KEY: b"1"}), 5)
    await catalog.barrier(last(catalog))
    path = next(p for p in (state / "content").rglob("*") if p.is_file())
    path.write_bytes(b"")  # as a power cut may leave it
    with reopened(state, boot_id="another boot") as later:
        fd = later._content.open(number)  # type: ignore[attr-defined]
        with open(fd, "rb") as file:
            assert file.read() == b"saved"


async def test_carried_bytes_do_not_undo_a_later_life_of_the_file(state: Path, opened: Opener) -> None:
    """Once content is in its own file, an older carried state of it no longer counts; nor after a mere kill."""
    catalog = opened()
    content = catalog._content
    assert isinstance(content, ContentStore)
    number = ContentId(catalog.next_seq)
    fd = content.create(number)
    with open(fd, "r+b", buffering=0) as file:
        file.write(b"old")
        content.sealed(number, catalog.commit({KEY: b"1"}), 3)
        await catalog.barrier(last(catalog))
        file.write(b"new" * 100_000)
        content.sealed(number, catalog.commit({KEY: b"2"}), 300_003)
    for boot in ("this boot", "another boot"):
        if boot == "another boot":
            await catalog.barrier(last(catalog))
        with reopened(state, boot_id=boot) as later, open(later._content.open(number), "rb") as file:  # type: ignore[attr-defined]
            assert file.read() == b"old" + b"new" * 100_000
