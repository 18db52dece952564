"""Downloads, and all that a test can make go wrong on the way."""

import threading

import dropbox
import pytest
import requests
from dropbox import exceptions, files

from .fixture import DropboxEmulator
from .refusals import refusal
from .remote import Refusal

DATA = bytes(range(256)) * 400


def test_parts_of_a_file(client: dropbox.Dropbox) -> None:
    made = client.files_upload(DATA, "/a")

    def part(written: str) -> requests.Response:
        return client.files_download(f"rev:{made.rev}", extra_headers={"Range": written})[1]

    middle = part("bytes=100-199")
    assert (middle.status_code, middle.content) == (206, DATA[100:200])
    assert middle.headers["Content-Range"] == f"bytes 100-199/{len(DATA)}"
    assert part("bytes=102300-").content == DATA[102300:]
    assert part("bytes=102300-999999").content == DATA[102300:]
    assert part("bytes=-5").content == DATA[-5:]
    with pytest.raises(exceptions.HttpError) as caught:
        part(f"bytes={len(DATA)}-")
    assert caught.value.status_code == 416
    for bad in ("bytes=5-4", "bytes=1-2,4-5", "1-2", "bytes=-"):
        with pytest.raises(exceptions.BadInputError):
            part(bad)


def test_what_cannot_be_downloaded(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    client.files_upload(b"", "/d/a")
    assert refusal(client.files_download, "/x") == "path/not_found"
    assert refusal(client.files_download, "/d") == "path/not_file"
    assert refusal(client.files_download, "rev:0123456789") == "path/not_found"
    dropbox_emulator.control.mark("/d/a", restricted=True)
    assert refusal(client.files_download, "/d/a") == "path/restricted_content"


def test_a_body_that_ends_early_one_that_is_wrong_and_a_range_that_is_ignored(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    client.files_upload(DATA, "/a")
    control = dropbox_emulator.control
    control.fault("files/download", cut_answer_after=1000)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.files_download("/a")[1].content  # noqa: B018
    control.fault("files/download", corrupt=True)
    assert client.files_download("/a")[1].content[1:] == DATA[1:]
    control.fault("files/download", ignore_range=True)
    answer = client.files_download("/a", extra_headers={"Range": "bytes=5-9"})[1]
    assert (answer.status_code, answer.content) == (200, DATA)
    assert client.files_download("/a")[1].content == DATA
    calls = control.wait_for_call("files/download", count=4)
    assert [call["ended"] for call in calls] == ["cut", "answered", "answered", "answered"]


def test_an_answer_that_is_lost_after_the_commit(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    control = dropbox_emulator.control
    control.fault("files/upload", drop="before")
    with pytest.raises(requests.exceptions.ConnectionError):
        client.files_upload(b"1", "/a")
    assert control.list() == []
    control.fault("files/upload", drop="after")
    with pytest.raises(requests.exceptions.ConnectionError):
        client.files_upload(b"1", "/a")
    assert control.read("/a") == b"1"


def test_a_body_that_the_service_stops_reading(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    session = client.files_upload_session_start(b"").session_id
    dropbox_emulator.control.fault("files/upload_session/append_v2", cut_request_after=500_000)
    with pytest.raises(requests.exceptions.ConnectionError):
        client.files_upload_session_append_v2(bytes(5_000_000), files.UploadSessionCursor(session, 0))
    assert dropbox_emulator.control.sessions() == {session: 0}


def test_answers_of_the_tests_choice(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    fault = dropbox_emulator.control.fault
    fault("files/list_folder", status=503, body="try later", times=2)
    for _ in range(2):
        with pytest.raises(exceptions.InternalServerError, match="try later"):
            client.files_list_folder("")
    fault("files/list_folder", status=429, headers={"Retry-After": "17"}, skip=1)
    client.files_list_folder("")
    with pytest.raises(exceptions.RateLimitError) as caught:
        client.files_list_folder("")
    assert caught.value.backoff == 17
    error = {".tag": "path", "reason": {".tag": "upload_traffic_limit_reached"}, "upload_session_id": "x"}
    fault("files/upload", error=error, match="/big")
    client.files_upload(b"", "/small")
    assert refusal(client.files_upload, b"", "/big") == "path/upload_traffic_limit_reached"
    client.files_upload(b"", "/big")
    assert dropbox_emulator.control.faults_left() == 0


def test_errors_that_the_service_does_not_have_cannot_be_planned(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    fault = dropbox_emulator.control.fault
    for error in ({".tag": "other"}, {".tag": "no_such_tag"}, {".tag": "path"}):
        with pytest.raises(Refusal):
            fault("files/list_folder", error=error)
    fault("files/list_folder", error={".tag": "from_the_future"}, unchecked=True)
    assert refusal(client.files_list_folder, "") == "other"
    with pytest.raises(Refusal, match="no setting"):
        dropbox_emulator.control.settings(pagesize=1)


def test_a_call_waits_until_the_test_lets_it_go(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    control = dropbox_emulator.control
    control.fault("files/upload", hold="before")
    control.fault("files/upload", hold_answer="after")
    calls = [threading.Thread(target=client.files_upload, args=(b"", f"/{name}")) for name in "ab"]
    calls[0].start()
    control.wait_at_gate("before")
    assert control.list() == []
    calls[1].start()
    control.wait_at_gate("after")
    assert [entry["path"] for entry in control.list()] == ["/b"]
    assert [entry["meanwhile"] for entry in control.journal("files/upload")] == [0, 1]
    control.release("after")
    control.release("before")
    for call in calls:
        call.join(20)
    assert [entry["path"] for entry in control.list()] == ["/b", "/a"]


def test_a_service_that_is_off(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    client.files_list_folder("")
    dropbox_emulator.control.settings(offline=True)
    for _ in range(2):
        with pytest.raises(requests.exceptions.ConnectionError):
            client.files_list_folder("")
    dropbox_emulator.control.settings(offline=False)
    client.files_list_folder("")


def test_a_connection_that_ends_in_the_handshake(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.settings(hang_up_in_handshake=True)
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        client.files_list_folder("")
    assert "CERTIFICATE_VERIFY_FAILED" not in str(caught.value)
    dropbox_emulator.control.settings(hang_up_in_handshake=False)
    client.files_list_folder("")


def test_an_argument_too_long_for_a_header(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.settings(argument_limit=100)
    with pytest.raises(exceptions.HttpError) as caught:
        client.files_upload(b"", "/" + "x" * 100)
    assert caught.value.status_code == 431


def test_the_journal_has_every_request(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    client.files_upload(b"12345", "/a")
    client.files_download("/a", extra_headers={"Range": "bytes=0-1"})[1].close()
    login, up, down = dropbox_emulator.control.wait_for_call("files/download") and dropbox_emulator.control.journal()
    assert (login["route"], login["arg"]) == ("oauth2/token", {"grant_type": "refresh_token"})
    assert (up["host"], up["arg"]["path"], up["body_bytes"], up["status"]) == ("content", "/a", 5, 200)
    assert (down["range"], down["answer_bytes"], down["ended"]) == ("bytes=0-1", 2, "answered")
    assert dropbox_emulator.control.journal("files/upload", since=up["number"]) == []


def test_tests_do_not_see_each_other(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    client.files_upload(b"", "/a")
    dropbox_emulator.control.settings(page_size=1)
    assert dropbox_emulator.control.reset() != dropbox_emulator.account
    assert dropbox_emulator.control.list() == []
    with pytest.raises((exceptions.AuthError, requests.exceptions.ConnectionError)):
        client.files_list_folder("")
