"""Moves, copies, deletions, one by one and in batches."""

import dropbox
import pytest
from dropbox import files

from .fixture import DropboxEmulator
from .refusals import refusal, tags


def tree(emulator: DropboxEmulator) -> list[str]:
    return [entry["path"] for entry in emulator.control.list()]


def test_a_move_needs_a_free_place(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    client.files_upload(b"a", "/a")
    client.files_upload(b"b", "/b")
    client.files_create_folder_v2("/d/sub")
    move = client.files_move_v2
    assert refusal(move, "/a", "/B") == "to/conflict/file"
    assert refusal(move, "/a", "/D") == "to/conflict/folder"
    assert refusal(move, "/a", "/b/x") == "to/conflict/file_ancestor"
    assert refusal(move, "/nothing", "/x") == "from_lookup/not_found"
    assert refusal(move, "/a", "/x/") == "to/malformed_path"
    assert refusal(move, "/d", "/D/sub/d") == "cant_move_folder_into_itself"
    assert move("/a", "/b", autorename=True).metadata.name == "b (2)"
    assert tree(dropbox_emulator) == ["/b", "/d", "/d/sub", "/b (2)"]


def test_a_move_keeps_the_id_and_a_copy_has_its_own(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    made = client.files_upload(b"a", "/D/a")
    folder = client.files_get_metadata("/d")
    assert client.files_move_v2("/d", "/E").metadata.id == folder.id
    moved = client.files_get_metadata("/e/a")
    assert (moved.id, moved.path_display) == (made.id, "/E/a")
    assert client.files_get_metadata(made.id).path_lower == "/e/a"
    twin = client.files_copy_v2("/e", "/f").metadata
    assert twin.id != folder.id
    assert client.files_get_metadata("/f/a").id != made.id
    assert client.users_get_space_usage().used == 2
    dropbox_emulator.control.settings(move_keeps_rev=True)
    assert client.files_move_v2("/e/a", "/e/b").metadata.rev == moved.rev
    # what a rev named is kept, wherever the file is now
    assert client.files_download(f"rev:{made.rev}")[1].content == b"a"


@pytest.mark.parametrize("variant", ["unchanged", "refused"])
def test_case_alone_cannot_be_changed(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator, variant: str) -> None:
    dropbox_emulator.control.settings(case_rename=variant)
    client.files_upload(b"", "/readme")
    if variant == "refused":
        assert refusal(client.files_move_v2, "/readme", "/README") == "duplicated_or_nested_paths"
    else:
        assert client.files_move_v2("/readme", "/README").metadata.name == "readme"
    assert tree(dropbox_emulator) == ["/readme"]
    client.files_move_v2("/readme", "/between")
    client.files_move_v2("/between", "/README")
    assert tree(dropbox_emulator) == ["/README"]


def test_a_deletion_takes_all_below_and_minds_the_rev(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    made = client.files_upload(b"1", "/d/a")
    newer = client.files_upload(b"2", "/d/a", mode=files.WriteMode.update(made.rev))
    assert refusal(client.files_delete_v2, "/d/a", parent_rev=made.rev) == "path_write/conflict/file"
    assert client.files_delete_v2("/d/a", parent_rev=newer.rev).metadata.rev == newer.rev
    assert refusal(client.files_delete_v2, "/d/a") == "path_lookup/not_found"
    client.files_upload(b"", "/d/x/y")
    client.files_delete_v2("/D")
    assert tree(dropbox_emulator) == []
    assert client.users_get_space_usage().used == 0


def test_too_much_for_one_call(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.settings(tree_limit=2)
    client.files_upload(b"", "/d/1")
    client.files_upload(b"", "/d/2")
    assert refusal(client.files_move_v2, "/d", "/e") == "too_many_files"
    assert refusal(client.files_copy_v2, "/d", "/e") == "too_many_files"
    assert refusal(client.files_delete_v2, "/d") == "too_many_files"


# -- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", ["at_launch", "when_polled"])
def test_a_job_is_asked_until_it_is_done(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator, work: str) -> None:
    dropbox_emulator.control.settings(job_polls=2, job_work=work)
    client.files_upload(b"", "/a")
    client.files_upload(b"", "/b")
    pairs = [files.RelocationPath("/a", "/c"), files.RelocationPath("/x", "/y"), files.RelocationPath("/b", "/c")]
    job = client.files_move_batch_v2(pairs).get_async_job_id()
    assert tree(dropbox_emulator) == (["/b", "/c"] if work == "at_launch" else ["/a", "/b"])
    for _ in range(2):
        assert client.files_move_batch_check_v2(job).is_in_progress()
    done = client.files_move_batch_check_v2(job).get_complete().entries
    assert [tags(entry) for entry in done] == [
        "success", "failure/relocation_error/from_lookup/not_found", "failure/relocation_error/to/conflict/file",
    ]  # fmt: skip
    assert tree(dropbox_emulator) == ["/b", "/c"]
    for check in (client.files_copy_batch_check_v2, client.files_delete_batch_check):
        assert refusal(check, job) == "invalid_async_job_id"
    dropbox_emulator.control.lose_jobs()
    assert refusal(client.files_move_batch_check_v2, job) == "internal_error"


def test_a_batch_may_be_done_at_once(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.settings(jobs="complete")
    made = client.files_create_folder_batch(["/a", "/b", "/a"]).get_complete().entries
    assert [tags(entry) for entry in made] == ["success", "success", "failure/path/conflict/folder"]
    assert client.files_create_folder_batch(["/c"], force_async=True).is_async_job_id()
    twins = client.files_copy_batch_v2([files.RelocationPath("/a", "/d")]).get_complete().entries
    assert twins[0].get_success().path_lower == "/d"


def test_entries_and_jobs_that_fail(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.settings(jobs="complete", jobs_that_fail=1, entries_that_fail=["/a"])
    for path in ("/b", "/c"):
        client.files_create_folder_v2(path)
    arguments = [files.DeleteArg("/a"), files.DeleteArg("/b")]
    job = client.files_delete_batch(arguments).get_async_job_id()
    client.files_delete_batch_check(job)
    assert tags(client.files_delete_batch_check(job)) == "failed/too_many_write_operations"
    done = client.files_delete_batch(arguments).get_complete().entries
    assert [tags(entry) for entry in done] == ["failure/too_many_write_operations", "success"]
    again = client.files_delete_batch(arguments[:1]).get_complete().entries
    assert tags(again[0]) == "failure/path_lookup/not_found"


def test_paths_in_each_other_are_no_batch(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.settings(jobs="complete")
    client.files_upload(b"", "/d/a")
    pairs = [files.RelocationPath("/d", "/e"), files.RelocationPath("/D/a", "/f")]
    done = client.files_move_batch_v2(pairs).get_complete().entries
    assert {tags(entry) for entry in done} == {"failure/relocation_error/duplicated_or_nested_paths"}
