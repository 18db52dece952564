"""What it means that something on an entry is there, is gone, or is another than we knew."""

from dataclasses import replace
from typing import Any

import pytest

from onitufs.model.copies import Copy, Found, Place, RemoteState
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.referee.sightings import Loss, Meaning, Meeting, Standing, judge, lose, meet

COPY = Copy(
    file=FileId(7), entry=EntryName("a"), kind=Kind.FILE, place=Place(ROOT_FILE, b"f"), generation=GenerationId(9),
    size=5, mtime_ns=1, mode=0o644, rev="r1", remote_id="i1", digest=b"one",
)  # fmt: skip
FILE = Standing(alive=True, kind=Kind.FILE, generation=GenerationId(9), size=5, digest=b"one")
NEWER = replace(FILE, generation=GenerationId(12), size=6, digest=b"two")
DEAD = Standing(alive=False, kind=Kind.FILE)
DIRECTORY = replace(COPY, kind=Kind.DIRECTORY, generation=GenerationId(0), size=0, digest=b"", rev="d1")


def found(kind: Kind = Kind.FILE, rev: str = "r2", remote_id: str = "i1", size: int = 5, target: bytes = b"") -> Found:
    state = RemoteState(rev=rev, remote_id=remote_id)
    return Found(kind=kind, size=size, mtime_ns=2, state=state, target=target)


def test_what_is_as_we_know_it_means_nothing() -> None:
    assert judge(COPY, found(rev="r1"), FILE) is Meaning.NOTHING
    assert judge(COPY, found(rev="r1"), DEAD) is Meaning.NOTHING


def test_an_id_that_we_did_not_know_yet_is_noted() -> None:
    assert judge(replace(COPY, remote_id=""), found(rev="r1"), FILE) is Meaning.SAME


def test_a_touch_is_told_from_an_edit_by_the_digest() -> None:
    assert judge(COPY, found(), FILE) is Meaning.DIGEST
    assert judge(COPY, found(), FILE, b"one") is Meaning.SAME
    assert judge(COPY, found(), FILE, b"else") is Meaning.EDITED


def test_another_size_is_an_edit_without_reading() -> None:
    assert judge(COPY, found(size=8), FILE) is Meaning.EDITED


def test_without_a_digest_any_other_rev_is_an_edit() -> None:
    unread = replace(FILE, digest=b"")
    assert judge(replace(COPY, digest=b""), found(), unread) is Meaning.EDITED


def test_what_was_changed_on_both_sides_comes_apart() -> None:
    assert judge(COPY, found(size=8), NEWER) is Meaning.APART


def test_the_same_change_on_both_sides_is_no_conflict() -> None:
    assert judge(COPY, found(size=6), NEWER) is Meaning.DIGEST
    assert judge(COPY, found(size=6), NEWER, b"two") is Meaning.CURRENT
    assert judge(COPY, found(size=6), NEWER, b"three") is Meaning.APART


def test_an_edit_of_what_was_deleted_here_lives() -> None:
    assert judge(COPY, found(size=8), DEAD) is Meaning.APART


def test_what_a_takeover_left_behind_is_nobodys_ancestor() -> None:
    assert judge(replace(COPY, generation=GenerationId(0), digest=b""), found(size=8), FILE) is Meaning.APART


def test_a_file_that_a_program_is_writing_is_waited_for() -> None:
    assert judge(COPY, found(size=8), replace(FILE, quiet=False)) is Meaning.WAIT


def test_a_file_that_the_digest_cannot_be_had_of_is_taken_for_changed() -> None:
    assert judge(COPY, found(), FILE, b"") is Meaning.EDITED


@pytest.mark.parametrize("kind", [Kind.DIRECTORY, Kind.SYMLINK])
def test_another_kind_is_another_object(kind: Kind) -> None:
    assert judge(COPY, found(kind), FILE) is Meaning.ANOTHER


def test_a_directory_that_took_anothers_name_is_not_its_end() -> None:
    here = Standing(alive=True, kind=Kind.DIRECTORY)
    assert judge(DIRECTORY, found(Kind.DIRECTORY, rev="d1"), here) is Meaning.NOTHING
    assert judge(DIRECTORY, found(Kind.DIRECTORY, rev="d2"), here) is Meaning.SAME
    assert judge(DIRECTORY, found(Kind.DIRECTORY, rev="d2", remote_id="i2"), here) is Meaning.SAME


def test_a_link_is_its_target() -> None:
    copy = replace(COPY, kind=Kind.SYMLINK, digest=b"")
    here = replace(FILE, kind=Kind.SYMLINK, target=b"t", digest=b"")
    assert judge(copy, found(Kind.SYMLINK, target=b"t"), here) is Meaning.CURRENT
    assert judge(copy, found(Kind.SYMLINK, target=b"u"), here) is Meaning.EDITED


@pytest.mark.parametrize(
    ("there", "digest", "meeting"),
    [
        (None, None, Meeting.NEW),
        (FILE, None, Meeting.DIGEST),
        (FILE, b"one", Meeting.JOIN),
        (FILE, b"else", Meeting.APART),
        (FILE, b"", Meeting.APART),
        (replace(FILE, digest=b""), b"", Meeting.APART),
        (NEWER, None, Meeting.APART),
        (replace(FILE, quiet=False), None, Meeting.WAIT),
        (replace(FILE, generation=GenerationId(0)), None, Meeting.WAIT),
        (Standing(alive=True, kind=Kind.DIRECTORY), None, Meeting.APART),
    ],
)
def test_a_file_that_nobody_knew(there: Standing | None, digest: bytes | None, meeting: Meeting) -> None:
    assert meet(found(), there, digest) is meeting


def test_an_empty_file_is_equal_to_an_empty_file() -> None:
    assert meet(found(size=0), replace(FILE, size=0, digest=b"")) is Meeting.JOIN


def test_directories_of_one_name_are_one() -> None:
    assert meet(found(Kind.DIRECTORY), Standing(alive=True, kind=Kind.DIRECTORY)) is Meeting.JOIN


def test_links_of_one_name_are_one_if_they_lead_to_one_place() -> None:
    here = Standing(alive=True, kind=Kind.SYMLINK, target=b"t")
    assert meet(found(Kind.SYMLINK, target=b"t"), here) is Meeting.JOIN
    assert meet(found(Kind.SYMLINK, target=b"u"), here) is Meeting.APART


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        ({}, Loss.DELETE),
        ({"alive": False}, Loss.FORGET),
        ({"at_home": False}, Loss.FORGET),  # renamed here: that lives
        ({"generation": GenerationId(12)}, Loss.FORGET),  # edited here: that lives
        ({"quiet": False}, Loss.WAIT),
        ({"quiet": False, "generation": GenerationId(12)}, Loss.FORGET),
    ],
)
def test_a_deletion_is_taken_over_only_where_nothing_was_changed(change: dict[str, Any], loss: Loss) -> None:
    assert lose(COPY, replace(FILE, **change)) is loss


def test_old_bytes_that_nobody_wants_are_no_deletion() -> None:
    assert lose(replace(COPY, generation=GenerationId(0)), replace(FILE, generation=GenerationId(0))) is Loss.FORGET


ALIKE, UNLIKE = b"dropbox:" + b"1" * 32, b"dropbox:" + b"2" * 32


def test_a_digest_that_comes_with_the_object_is_used() -> None:
    told = replace(found(), state=replace(found().state, digest=b"one"))
    other = replace(found(), state=replace(found().state, digest=b"else"))
    assert judge(COPY, told, FILE) is Meaning.SAME
    assert judge(COPY, other, FILE) is Meaning.EDITED
    assert judge(COPY, told, replace(FILE, generation=GenerationId(12), digest=b"two")) is Meaning.SAME
    assert meet(told, FILE) is Meeting.JOIN
    assert meet(other, FILE) is Meeting.APART


def test_digests_of_two_kinds_are_not_compared() -> None:
    told = replace(found(), state=replace(found().state, digest=ALIKE))
    assert judge(COPY, told, FILE) is Meaning.DIGEST
    assert judge(replace(COPY, digest=ALIKE), told, FILE) is Meaning.SAME
    assert judge(COPY, told, replace(FILE, digest=ALIKE), ALIKE) is Meaning.CURRENT
    assert judge(replace(COPY, digest=UNLIKE), told, FILE, ALIKE) is Meaning.EDITED
    assert meet(told, FILE) is Meeting.DIGEST
    assert meet(told, replace(FILE, digest=ALIKE), ALIKE) is Meeting.JOIN
    assert meet(told, replace(FILE, digest=UNLIKE), ALIKE) is Meeting.APART
    assert meet(told, replace(FILE, digest=b""), ALIKE) is Meeting.APART


def test_the_same_change_on_both_sides_is_seen_where_ours_is_not_known_yet() -> None:
    unread = replace(NEWER, digest=b"")
    assert judge(COPY, found(size=6), unread) is Meaning.DIGEST
    assert judge(COPY, found(size=6), replace(unread, digest=b"two"), b"two") is Meaning.CURRENT
    assert judge(COPY, found(size=6), unread, b"two") is Meaning.APART
