"""Write modes, conflicts, room, uploads in one call."""

import datetime
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import dropbox
import pytest
from dropbox import exceptions, files

from .fixture import DropboxEmulator
from .refusals import refusal, tags

Mode = files.WriteMode
WRONG = "0123456789abcdef0"


@pytest.mark.parametrize(
    ("there", "mode", "strict", "becomes"),
    [
        ("nothing", "add", False, "written"),
        ("nothing", "add", True, "written"),
        ("nothing", "overwrite", True, "written"),
        ("nothing", "update wrong", False, "written"),
        ("nothing", "update wrong", True, "path/conflict/file"),
        ("folder", "add", False, "path/conflict/folder"),
        ("folder", "overwrite", False, "path/conflict/folder"),
        ("folder", "update wrong", False, "path/conflict/folder"),
        ("same", "add", False, "kept"),
        ("same", "add", True, "path/conflict/file"),
        ("same", "overwrite", False, "kept"),
        ("same", "overwrite", True, "replaced"),
        ("same", "update", False, "kept"),
        ("same", "update", True, "kept"),
        ("same", "update wrong", False, "kept"),
        ("same", "update wrong", True, "path/conflict/file"),
        ("other", "add", False, "path/conflict/file"),
        ("other", "overwrite", False, "replaced"),
        ("other", "overwrite", True, "replaced"),
        ("other", "update", False, "replaced"),
        ("other", "update", True, "replaced"),
        ("other", "update wrong", False, "path/conflict/file"),
        ("other", "update wrong", True, "path/conflict/file"),
    ],
)
def test_the_table_of_write_modes(client: dropbox.Dropbox, there: str, mode: str, strict: bool, becomes: str) -> None:
    before = None
    if there == "folder":
        client.files_create_folder_v2("/x")
    elif there != "nothing":
        before = client.files_upload(b"bytes" if there == "same" else b"other", "/x")
    modes = {"add": Mode.add, "overwrite": Mode.overwrite, "update wrong": Mode.update(WRONG)}
    if before is not None:
        modes["update"] = Mode.update(before.rev)
    if becomes.startswith("path/"):
        assert refusal(client.files_upload, b"bytes", "/x", mode=modes[mode], strict_conflict=strict) == becomes
        return
    after = client.files_upload(b"bytes", "/x", mode=modes[mode], strict_conflict=strict)
    assert client.files_download("/x")[1].content == b"bytes"
    if before is not None:
        assert after.id == before.id
        assert (after.rev == before.rev) is (becomes == "kept")


def test_a_file_is_no_folder(client: dropbox.Dropbox) -> None:
    client.files_upload(b"", "/a")
    assert refusal(client.files_upload, b"", "/A/b") == "path/conflict/file_ancestor"
    assert refusal(client.files_create_folder_v2, "/a/b/c") == "path/conflict/file_ancestor"
    assert refusal(client.files_list_folder, "/a") == "path/not_folder"
    assert refusal(client.files_list_folder, "/b") == "path/not_found"


def test_names_found_by_the_service(client: dropbox.Dropbox) -> None:
    first = client.files_upload(b"1", "/a.txt")
    assert client.files_upload(b"2", "/a.txt", autorename=True).name == "a (2).txt"
    assert client.files_upload(b"3", "/a.txt", autorename=True).name == "a (3).txt"
    assert (
        client.files_upload(b"4", "/a.txt", mode=Mode.update(WRONG), autorename=True).name == "a (conflicted copy).txt"
    )
    assert client.files_get_metadata("/a.txt").rev == first.rev
    assert client.files_create_folder_v2("/a.txt", autorename=True).metadata.name == "a (4).txt"


def test_times(client: dropbox.Dropbox) -> None:
    when = datetime.datetime(2001, 2, 3, 4, 5, 6)  # noqa: DTZ001
    made = client.files_upload(b"1", "/a", client_modified=when)
    assert made.client_modified == when
    kept = client.files_upload(b"1", "/a", mode=Mode.update(made.rev), client_modified=when.replace(year=2002))
    assert (kept.client_modified, kept.rev) == (when, made.rev)


def test_a_wrong_hash_is_seen(client: dropbox.Dropbox) -> None:
    assert refusal(client.files_upload, b"a", "/a", content_hash="0" * 64) == "content_hash_mismatch"


def test_a_request_that_is_too_large(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.settings(request_limit=10)
    client.files_upload(bytes(10), "/a")
    assert refusal(client.files_upload, bytes(11), "/b") == "payload_too_large"


def test_bytes_that_met_a_conflict_can_be_committed_elsewhere(client: dropbox.Dropbox) -> None:
    client.files_upload(b"theirs", "/a")
    with pytest.raises(exceptions.ApiError) as caught:
        client.files_upload(b"mine", "/a", mode=Mode.add, strict_conflict=True)
    assert tags(caught.value.error) == "path/conflict/file"
    session = caught.value.error.get_path().upload_session_id
    where = files.UploadSessionCursor(session, 4)
    client.files_upload_session_finish(b"", where, files.CommitInfo("/b"))
    assert client.files_download("/b")[1].content == b"mine"


def test_a_full_account(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.change_account(allocated=10)
    made = client.files_upload(bytes(8), "/a")
    assert refusal(client.files_upload, bytes(3), "/b") == "path/insufficient_space"
    assert refusal(client.files_copy_v2, "/a", "/b") == "insufficient_quota"
    client.files_upload(bytes(10), "/a", mode=Mode.update(made.rev))
    space = client.users_get_space_usage()
    assert (space.used, space.allocation.get_individual().allocated) == (10, 10)
    client.files_delete_v2("/a")
    client.files_upload(bytes(3), "/b")


def test_the_room_of_a_team(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.change_account(
        team={
            "used": 7, "allocated": 100, "user_within_team_space_allocated": 50,
            "user_within_team_space_limit_type": "stop_sync", "user_within_team_space_used_cached": 3,
        }
    )  # fmt: skip
    told = client.users_get_space_usage().allocation.get_team()
    assert (told.allocated, told.user_within_team_space_limit_type.is_stop_sync()) == (100, True)


def test_writes_at_the_same_time_get_into_each_others_way(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    control = dropbox_emulator.control
    client.files_upload(b"", "/a")
    control.hold_namespace(held=True)
    assert refusal(client.files_upload, b"", "/b") == "path/too_many_write_operations"
    assert refusal(client.files_create_folder_v2, "/c") == "path/too_many_write_operations"
    assert refusal(client.files_move_v2, "/a", "/c") == "to/too_many_write_operations"
    assert refusal(client.files_delete_v2, "/a") == "too_many_write_operations"
    with pytest.raises(exceptions.RateLimitError):
        client.files_delete_batch([files.DeleteArg("/a")])
    client.files_list_folder("")  # reading does not
    control.hold_namespace(held=False)
    control.settings(commit_hold_s=100)
    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(client.files_upload, b"", f"/d/{number}") for number in range(2)]
        wait(outcomes, return_when=FIRST_COMPLETED)
        control.advance(101)
    assert sorted(str(outcome.exception() is None) for outcome in outcomes) == ["False", "True"]


def test_writes_may_wait_for_each_other(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.settings(commits_together=True)
    with ThreadPoolExecutor(8) as pool:
        for outcome in [pool.submit(client.files_upload, b"", f"/d/{number}") for number in range(8)]:
            outcome.result()


def test_a_share_that_may_only_be_read(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    made = client.files_upload(b"1", "/shared/sub/a")
    dropbox_emulator.control.mark("/shared", share_id="84528192421", read_only=True)
    folder = client.files_get_metadata("/shared")
    assert (folder.shared_folder_id, folder.sharing_info.read_only) == ("84528192421", True)
    assert client.files_get_metadata("/shared/sub/a").sharing_info.read_only
    assert refusal(client.files_upload, b"", "/shared/sub/b") == "path/no_write_permission"
    assert refusal(client.files_upload, b"2", "/shared/sub/a", mode=Mode.update(made.rev)) == "path/no_write_permission"
    assert refusal(client.files_delete_v2, "/shared/sub/a") == "path_write/no_write_permission"
    assert refusal(client.files_move_v2, "/shared/sub/a", "/a") == "from_write/no_write_permission"
    assert refusal(client.files_create_folder_v2, "/shared/x") == "path/no_write_permission"
    assert client.files_list_folder("", include_mounted_folders=False).entries == []
