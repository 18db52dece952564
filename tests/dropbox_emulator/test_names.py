"""Case, normal forms, and names that cannot be."""

import dropbox
import pytest

from . import names
from .content import content_hash
from .fixture import DropboxEmulator
from .refusals import refusal


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("README", "readme", True),
        ("\u00c4rger", "a\u0308rger", True),
        ("\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c3", True),
        ("\u03bf\u03b4\u03bf\u03c2", "\u03bf\u03b4\u03bf\u03c3", False),
        ("stra\u00dfe", "STRASSE", False),
        ("\u1c90", "\u10d0", False),
        ("a", "\uff41", False),
    ],
)
def test_which_names_are_one(one: str, other: str, same: bool) -> None:
    assert (names.fold(one) == names.fold(other)) is same


def test_a_file_is_found_in_any_case_and_keeps_the_one_it_was_made_with(client: dropbox.Dropbox) -> None:
    client.files_create_folder_v2("/Docs")
    made = client.files_upload(b"1", "/docs/Read Me.TXT")
    assert (made.name, made.path_lower) == ("Read Me.TXT", "/docs/read me.txt")
    again = client.files_upload(b"2", "/DOCS/read me.txt", mode=dropbox.files.WriteMode.update(made.rev))
    assert (again.id, again.name) == (made.id, "Read Me.TXT")
    # the parents in path_display are what some caller called them, not what they are called
    assert again.path_display == "/docs/Read Me.TXT"
    assert refusal(client.files_create_folder_v2, "/DOCS") == "path/conflict/folder"


def test_names_are_kept_composed_and_found_composed(client: dropbox.Dropbox) -> None:
    made = client.files_upload(b"", "/u\u0308ber")
    assert made.name == "\u00fcber"
    assert client.files_get_metadata("/\u00dcBER").id == made.id
    assert refusal(client.files_get_metadata, "/u\u0308ber") == "path/not_found"


@pytest.mark.parametrize("name", ["a\\b", "a\0b", "a\x7f", "a ", "\U0001f600" * 128, "x" * 256, "."])
def test_names_that_are_malformed(client: dropbox.Dropbox, name: str) -> None:
    assert refusal(client.files_upload, b"", f"/{name}") == "path/malformed_path"
    assert refusal(client.files_upload, b"", f"/{name}/x") == "path/malformed_path"
    assert refusal(client.files_create_folder_v2, f"/{name}") == "path/malformed_path"
    assert client.files_list_folder("").entries == []


@pytest.mark.parametrize("name", ["desktop.ini", "Thumbs.DB", ".DS_Store", "icon\r", ".dropbox", ".dropbox.attr"])
def test_names_that_the_service_keeps_for_itself(client: dropbox.Dropbox, name: str) -> None:
    assert refusal(client.files_upload, b"", f"/{name}") == "path/disallowed_name"
    client.files_upload(b"", "/fine")
    assert refusal(client.files_move_v2, "/fine", f"/{name}") == "to/disallowed_name"


@pytest.mark.parametrize("name", ["\U0001f600" * 127, "\u6587" * 255, "a.", " a", "...", "con", 'a:b*?"<>|', "a\nb"])
def test_names_that_are_good(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator, name: str) -> None:
    assert client.files_upload(b"", f"/{name}").name == name
    assert client.files_download(f"/{name}")[0].name == name
    assert dropbox_emulator.control.list()[0]["path"] == f"/{name}"


def test_another_programs_change_of_case_is_told_by_no_feed(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    client.files_upload(b"", "/readme")
    cursor = client.files_list_folder("").cursor
    dropbox_emulator.control.recase("/readme", "ReadMe")
    assert client.files_list_folder_continue(cursor).entries == []
    assert client.files_list_folder("").entries[0].name == "ReadMe"


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"hello", "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"),
        (b"\0", "1406e05881e299367766d313e26c05564ec91bf721d31726bd6e46e60689539a"),
        (bytes(4 * MIB - 1), "839e2d868a885f260431d186466f0f3c189ee0eee5cc444b54e717740ad7f1c3"),
        (bytes(4 * MIB), "c7e946d101855255d919ef0c70718633adf77d3dfb3adeeecf5d0cb4e951be58"),
        (bytes(4 * MIB + 1), "14a4d47f23a30177885d9820122f17d2d3a55fe63f7f5c27b95f689e0b2accd6"),
        (bytes(8 * MIB), "03ae066c707c588592d9e27aa2444ca98423e0999024f1ceaa11a153790b37de"),
        (
            (bytes(range(251)) * 39841)[:10_000_000],
            "adcedd7b0933aef0bdf54a73c43b77526b6ff90b1a303d2cd235f44161b65177",
        ),
    ],
    ids=["empty", "hello", "00", "4M-1", "4M", "4M+1", "8M", "10MB"],
)
def test_content_hashes(data: bytes, digest: str) -> None:
    assert content_hash(data) == digest
