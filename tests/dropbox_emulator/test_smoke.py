"""Each kind of call once, with the SDK as it comes."""

import dropbox
from dropbox import files

from .fixture import DropboxEmulator


def test_a_file_goes_up_is_found_moved_and_comes_down(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    assert client.users_get_current_account().account_id == dropbox_emulator.account
    begin = client.files_list_folder("", recursive=True)
    assert begin.entries == []
    made = client.files_upload(b"hello", "/A/b.txt")
    assert made.content_hash == "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"
    moved = client.files_move_v2("/a/B.TXT", "/c.txt").metadata
    assert (moved.id, moved.path_display) == (made.id, "/c.txt")
    assert client.files_list_folder_longpoll(begin.cursor, 30).changes
    news = client.files_list_folder_continue(begin.cursor).entries
    assert [(type(entry).__name__, entry.path_lower) for entry in news] == [
        ("FolderMetadata", "/a"),
        ("FileMetadata", "/a/b.txt"),
        ("DeletedMetadata", "/a/b.txt"),
        ("FileMetadata", "/c.txt"),
    ]
    assert client.files_download("/C.txt")[1].content == b"hello"
    assert client.users_get_space_usage().used == 5


def test_another_program_on_the_account(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    control = dropbox_emulator.control
    control.write("/Docs/Note.txt", b"theirs")
    assert client.files_download("/docs/note.txt")[1].content == b"theirs"
    client.files_delete_v2("/docs/note.txt")
    assert [entry["path"] for entry in control.list()] == ["/Docs"]


def test_a_batch_is_a_job(client: dropbox.Dropbox) -> None:
    client.files_create_folder_v2("/x/y")
    job = client.files_delete_batch([files.DeleteArg("/x"), files.DeleteArg("/nothing")]).get_async_job_id()
    assert client.files_delete_batch_check(job).is_in_progress()
    first, second = client.files_delete_batch_check(job).get_complete().entries
    assert first.is_success()
    assert second.get_failure().get_path_lookup().is_not_found()
