"""Listings in pages, cursors, longpoll."""

import threading

import dropbox
import pytest
from dropbox import files

from .fixture import DropboxEmulator
from .refusals import refusal

Entries = list[tuple[str, str]]


def brief(entries: list[files.Metadata]) -> Entries:
    return [(type(entry).__name__.removesuffix("Metadata"), entry.path_lower) for entry in entries]


def drained(client: dropbox.Dropbox, cursor: str) -> tuple[Entries, str]:
    found: Entries = []
    while True:
        page = client.files_list_folder_continue(cursor)
        found += brief(page.entries)
        cursor = page.cursor
        if not page.has_more:
            return found, cursor


def test_a_listing_in_pages_and_what_changed_meanwhile(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    control = dropbox_emulator.control
    for number in range(5):
        control.write(f"/d/{number}", b"")
    dropbox_emulator.control.settings(empty_pages=True)
    page = client.files_list_folder("", recursive=True, limit=2)
    assert (page.entries, page.has_more) == ([], True)
    control.delete("/d/4")
    control.write("/e", b"")
    found, cursor = drained(client, page.cursor)
    assert found == [
        ("Folder", "/d"), *[("File", f"/d/{number}") for number in range(4)], ("Deleted", "/d/4"), ("File", "/e"),
    ]  # fmt: skip
    assert drained(client, cursor)[0] == []
    assert drained(client, page.cursor)[0] == found  # a cursor is good as often as one likes


def test_what_one_folder_tells(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    control = dropbox_emulator.control
    control.write("/d/sub/deep", b"")
    flat, deep = client.files_list_folder("/D"), client.files_list_folder("/D", recursive=True)
    assert brief(flat.entries) == [("Folder", "/d/sub")]
    assert brief(deep.entries) == [("Folder", "/d"), ("Folder", "/d/sub"), ("File", "/d/sub/deep")]
    control.write("/d/sub/deep2", b"")
    control.write("/elsewhere", b"")
    control.write("/d/near", b"")
    assert drained(client, flat.cursor)[0] == [("File", "/d/near")]
    assert drained(client, deep.cursor)[0] == [("File", "/d/sub/deep2"), ("File", "/d/near")]
    control.delete("/d/sub")
    assert drained(client, deep.cursor)[0][-1] == ("Deleted", "/d/sub")
    control.delete("/d")
    assert refusal(client.files_list_folder_continue, deep.cursor) == "path/not_found"
    control.mkdir("/d")
    assert refusal(client.files_list_folder_continue, deep.cursor) == "reset"


def test_a_latest_cursor_tells_what_comes(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.write("/a", b"")
    cursor = client.files_list_folder_get_latest_cursor("", recursive=True).cursor
    dropbox_emulator.control.write("/b", b"")
    assert drained(client, cursor)[0] == [("File", "/b")]


@pytest.mark.parametrize("order", ["deleted_first", "added_first"])
def test_a_folder_that_moved(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator, order: str) -> None:
    dropbox_emulator.control.settings(move_order=order)
    made = client.files_upload(b"1", "/old/a")
    cursor = client.files_list_folder("", recursive=True).cursor
    client.files_move_v2("/old", "/to/new")
    page = client.files_list_folder_continue(cursor)
    told = brief(page.entries)
    assert told[0] == ("Folder", "/to")
    assert sorted(told[1:]) == [("Deleted", "/old"), ("File", "/to/new/a"), ("Folder", "/to/new")]
    assert (told[1] == ("Deleted", "/old")) is (order == "deleted_first")
    file = next(entry for entry in page.entries if isinstance(entry, files.FileMetadata))
    assert file.id == made.id
    assert file.rev != made.rev


def test_what_was_deleted_is_told_to_who_asks(client: dropbox.Dropbox) -> None:
    client.files_upload(b"", "/A/b")
    client.files_delete_v2("/a/b")
    assert brief(client.files_list_folder("/a").entries) == []
    assert brief(client.files_list_folder("/a", include_deleted=True).entries) == [("Deleted", "/a/b")]
    assert refusal(client.files_get_metadata, "/a/b") == "path/not_found"
    assert brief([client.files_get_metadata("/a/b", include_deleted=True)]) == [("Deleted", "/a/b")]


def test_cursors_that_are_of_no_use_any_more(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    cursor = client.files_list_folder("").cursor
    dropbox_emulator.control.reset_cursors()
    assert refusal(client.files_list_folder_continue, cursor) == "reset"
    assert refusal(client.files_list_folder_longpoll, cursor, 30) == "reset"
    cursor = client.files_list_folder("").cursor
    client.files_list_folder_continue(cursor)
    dropbox_emulator.control.advance(31 * 86400)
    assert refusal(client.files_list_folder_continue, cursor) == "reset"
    with pytest.raises(dropbox.exceptions.BadInputError, match="cursor"):
        client.files_list_folder_continue("made up")


def test_longpoll_waits_for_a_change(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    control = dropbox_emulator.control
    control.mkdir("/d")
    cursor = client.files_list_folder("/d").cursor
    answers: list[files.ListFolderLongpollResult] = []
    waiting = threading.Thread(target=lambda: answers.append(client.files_list_folder_longpoll(cursor, 480)))
    waiting.start()
    control.wait_for_call("files/list_folder/longpoll", over=False)
    control.write("/elsewhere", b"")
    assert control.journal("files/list_folder/longpoll")[0]["ended"] is None
    control.write("/d/here", b"")
    waiting.join(20)
    assert answers[0].changes
    assert answers[0].backoff is None


def test_longpoll_ends_when_its_time_is_over(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    control = dropbox_emulator.control
    control.settings(longpoll_backoff_s=7, longpoll_jitter_s=10)
    cursor = client.files_list_folder("").cursor
    answers: list[files.ListFolderLongpollResult] = []
    waiting = threading.Thread(target=lambda: answers.append(client.files_list_folder_longpoll(cursor, 480)))
    waiting.start()
    control.wait_for_call("files/list_folder/longpoll", over=False)
    control.advance(485)
    assert control.journal("files/list_folder/longpoll")[0]["ended"] is None
    control.advance(6)
    waiting.join(20)
    assert (answers[0].changes, answers[0].backoff) == (False, 7)


def test_longpoll_may_tell_of_changes_that_are_none(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.settings(spurious_changes=1)
    cursor = client.files_list_folder("").cursor
    assert client.files_list_folder_longpoll(cursor, 480).changes
    assert client.files_list_folder_continue(cursor).entries == []


def test_documents_without_bytes_of_their_own(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.write("/notes.paper", b"x")
    dropbox_emulator.control.mark("/notes.paper", downloadable=False)
    dropbox_emulator.control.write("/link", b"")
    dropbox_emulator.control.mark("/link", symlink="/etc/passwd")
    document, link = client.files_list_folder("").entries
    assert (document.is_downloadable, document.content_hash) == (False, None)
    assert link.symlink_info.target == "/etc/passwd"
    assert len(client.files_list_folder("", include_non_downloadable_files=False).entries) == 1
    assert refusal(client.files_download, "/notes.paper") == "unsupported_file"
