"""Upload sessions: sequential, concurrent, in batches."""

import dropbox
import pytest
from dropbox import files

from .content import BLOCK
from .fixture import DropboxEmulator
from .refusals import refusal, tags

At = files.UploadSessionCursor
To = files.CommitInfo
DAY = 86400


def test_bytes_one_after_the_other(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    data = bytes(range(256)) * 20_000  # more than is held in memory
    third = len(data) // 3
    session = client.files_upload_session_start(data[:third]).session_id
    client.files_upload_session_append_v2(data[third : 2 * third], At(session, third))
    assert dropbox_emulator.control.sessions() == {session: 2 * third}
    made = client.files_upload_session_finish(data[2 * third :], At(session, 2 * third), To("/a"))
    assert made.size == len(data)
    assert client.files_download("/a")[1].content == data
    assert dropbox_emulator.control.sessions() == {}
    gone = "lookup_failed/not_found"
    assert refusal(client.files_upload_session_finish, b"", At(session, len(data)), To("/b")) == gone


def test_an_offset_that_is_not_the_one(client: dropbox.Dropbox) -> None:
    session = client.files_upload_session_start(b"12345").session_id
    for offset in (0, 4, 6):
        assert refusal(client.files_upload_session_append_v2, b"x", At(session, offset)) == "incorrect_offset"
        wrong = refusal(client.files_upload_session_finish, b"", At(session, offset), To("/a"))
        assert wrong == "lookup_failed/incorrect_offset"
    with pytest.raises(dropbox.exceptions.ApiError) as caught:
        client.files_upload_session_append_v2(b"x", At(session, 0))
    assert caught.value.error.get_incorrect_offset().correct_offset == 5
    client.files_upload_session_finish(b"", At(session, 5), To("/a"))


def test_a_session_that_is_closed_takes_nothing_more(client: dropbox.Dropbox) -> None:
    session = client.files_upload_session_start(b"1").session_id
    client.files_upload_session_append_v2(b"2", At(session, 1), close=True)
    assert refusal(client.files_upload_session_append_v2, b"x", At(session, 2)) == "closed"
    assert refusal(client.files_upload_session_finish, b"x", At(session, 2), To("/a")) == "lookup_failed/closed"
    client.files_upload_session_finish(b"", At(session, 2), To("/a"))


def test_a_session_lives_for_seven_days_and_for_its_account(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    session = client.files_upload_session_start(b"1").session_id
    dropbox_emulator.control.advance(7 * DAY - 60)
    client.files_upload_session_append_v2(b"2", At(session, 1))
    dropbox_emulator.control.advance(120)
    assert refusal(client.files_upload_session_append_v2, b"3", At(session, 2)) == "not_found"
    gone = "lookup_failed/not_found"
    assert refusal(client.files_upload_session_finish, b"", At(session, 2), To("/a")) == gone


def test_a_finish_that_met_a_conflict_has_taken_the_bytes(client: dropbox.Dropbox) -> None:
    client.files_upload(b"theirs", "/a")
    session = client.files_upload_session_start(b"12").session_id
    commit = To("/a", strict_conflict=True)
    assert refusal(client.files_upload_session_finish, b"34", At(session, 2), commit) == "path/conflict/file"
    wrong = refusal(client.files_upload_session_finish, b"34", At(session, 2), To("/b"))
    assert wrong in {"lookup_failed/incorrect_offset", "lookup_failed/closed"}
    client.files_upload_session_finish(b"", At(session, 4), To("/b"))
    assert client.files_download("/b")[1].content == b"1234"


def test_hashes_of_what_is_sent_are_checked(client: dropbox.Dropbox) -> None:
    wrong = {"content_hash": "0" * 64}
    assert refusal(client.files_upload_session_start, b"1", **wrong) == "content_hash_mismatch"
    session = client.files_upload_session_start(b"1").session_id
    assert refusal(client.files_upload_session_append_v2, b"2", At(session, 1), **wrong) == "content_hash_mismatch"
    assert (
        refusal(client.files_upload_session_finish, b"2", At(session, 1), To("/a"), **wrong) == "content_hash_mismatch"
    )
    client.files_upload_session_finish(b"2", At(session, 1), To("/a"))  # none of that was taken


CONCURRENT = files.UploadSessionType.concurrent


def test_bytes_in_any_order(client: dropbox.Dropbox) -> None:
    session = client.files_upload_session_start(b"", session_type=CONCURRENT).session_id
    append, finish = client.files_upload_session_append_v2, client.files_upload_session_finish
    append(b"a" * BLOCK, At(session, 0))
    assert refusal(append, b"x" * BLOCK, At(session, 1)) == "concurrent_session_invalid_offset"
    assert refusal(append, b"x", At(session, BLOCK)) == "concurrent_session_invalid_data_size"
    assert refusal(finish, b"", At(session, BLOCK), To("/a")) == "concurrent_session_not_closed"
    append(b"c" * 10, At(session, 2 * BLOCK), close=True)
    assert refusal(append, b"b" * BLOCK, At(session, BLOCK)) == "closed"
    assert refusal(finish, b"x", At(session, 2 * BLOCK + 10), To("/a")) == "concurrent_session_data_not_allowed"
    assert refusal(finish, b"", At(session, 2 * BLOCK + 10), To("/a")) == "concurrent_session_missing_data"

    session = client.files_upload_session_start(b"", session_type=CONCURRENT).session_id
    append(b"b" * BLOCK, At(session, BLOCK))
    append(b"a" * BLOCK, At(session, 0))
    append(b"c" * 10, At(session, 2 * BLOCK), close=True)
    made = finish(b"", At(session, 2 * BLOCK + 10), To("/a"))
    assert made.size == 2 * BLOCK + 10
    assert client.files_download("/a")[1].content == b"a" * BLOCK + b"b" * BLOCK + b"c" * 10


def test_a_concurrent_session_starts_with_nothing(client: dropbox.Dropbox) -> None:
    start = client.files_upload_session_start
    assert refusal(start, b"x", session_type=CONCURRENT) == "concurrent_session_data_not_allowed"
    assert refusal(start, b"", close=True, session_type=CONCURRENT) == "concurrent_session_close_not_allowed"


def _entry(session: str, length: int, offset: int = 0, close: bool = True) -> files.UploadSessionAppendBatchArgEntry:
    return files.UploadSessionAppendBatchArgEntry(At(session, offset), length, close)


def test_many_small_files_in_three_calls(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    ids = client.files_upload_session_start_batch(200).session_ids
    bodies = [f"file {number}".encode() for number in range(len(ids))]
    entries = [_entry(session, len(body)) for session, body in zip(ids, bodies, strict=True)]
    appended = client.files_upload_session_append_batch(b"".join(bodies), entries).entries
    assert all(entry.is_success() for entry in appended)
    finish = [
        files.UploadSessionFinishArg(At(session, len(body)), To(f"/d/{number}", strict_conflict=True))
        for number, (session, body) in enumerate(zip(ids, bodies, strict=True))
    ]
    done = client.files_upload_session_finish_batch_v2(finish).entries
    assert [entry.get_success().name for entry in done] == [str(number) for number in range(len(ids))]
    assert dropbox_emulator.control.read("/d/199") == b"file 199"


def test_entries_fail_singly(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    ids = client.files_upload_session_start_batch(4).session_ids
    append = client.files_upload_session_append_batch
    entries = [_entry(ids[0], 1), _entry(ids[1], 1, offset=1), _entry("made up", 1), _entry(ids[2], 1, close=False)]
    results = append(b"abcd", entries).entries
    assert [tags(entry) for entry in results] == ["success", "failure/incorrect_offset", "failure/not_found", "success"]
    assert tags(append(b"x", [_entry(ids[0], 1, offset=1)]).entries[0]) == "failure/closed"
    assert refusal(append, b"xy", [_entry(ids[3], 1)]) == "length_mismatch"
    assert refusal(append, b"x", [_entry(ids[3], 1)], content_hash="0" * 64) == "content_hash_mismatch"
    append(b"x", [_entry(ids[3], 1)])
    client.files_upload(b"there", "/there")
    dropbox_emulator.control.settings(entries_that_fail=["/busy"])
    finish = [
        files.UploadSessionFinishArg(At(ids[0], 1), To("/there", strict_conflict=True)),
        files.UploadSessionFinishArg(At(ids[2], 1), To("/open")),
        files.UploadSessionFinishArg(At(ids[3], 1), To("/busy")),
        files.UploadSessionFinishArg(At("made up", 1), To("/lost")),
    ]
    done = client.files_upload_session_finish_batch_v2(finish).entries
    assert [tags(entry) for entry in done] == [
        "failure/path/conflict/file",
        "failure/lookup_failed/not_closed",
        "failure/too_many_write_operations",
        "failure/lookup_failed/not_found",
    ]
    assert tags(client.files_upload_session_finish_batch_v2([finish[2]]).entries[0]) == "success"
