"""A call that is not written as the service wants it is refused, whoever sends it."""

import json
from typing import Any

import dropbox
import pytest
import requests
from dropbox import exceptions
from stone.backends.python_rsrc import stone_validators

from .conftest import Connect
from .fixture import APP_KEY, DropboxEmulator
from .refusals import refusal

LIST = "https://api.dropboxapi.com/2/files/list_folder"
UPLOAD = "https://content.dropboxapi.com/2/files/upload"
DOWNLOAD = "https://content.dropboxapi.com/2/files/download"
JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def bearer(dropbox_emulator: DropboxEmulator) -> dict[str, str]:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": dropbox_emulator.control.refresh_token(),
        "client_id": APP_KEY,
    }
    with dropbox_emulator.session() as session:
        answer = session.post("https://api.dropboxapi.com/oauth2/token", data=form)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture
def post(dropbox_emulator: DropboxEmulator, bearer: dict[str, str]) -> Any:
    """Send something with a good token; returns the answer."""
    with dropbox_emulator.session() as session:

        def post(url: str, headers: dict[str, Any], body: Any = None, method: str = "POST") -> requests.Response:
            return session.request(method, url, headers={**bearer, **headers}, data=body)

        yield post


def test_what_is_written_well_is_answered(post: Any) -> None:
    assert post(LIST, JSON, '{"path": ""}').json()["entries"] == []
    answer = post(UPLOAD, {**BYTES, "Dropbox-API-Arg": '{"path": "/a", "mode": "add"}'}, b"x")
    assert answer.status_code == 200
    assert answer.headers["X-Dropbox-Request-Id"]
    assert post(DOWNLOAD, {"Dropbox-API-Arg": '{"path": "/a"}'}).content == b"x"


@pytest.mark.parametrize(
    ("url", "headers", "body", "why"),
    [
        (LIST.replace("api.", "content.", 1), JSON, '{"path": ""}', "served by the host api"),
        (UPLOAD.replace("content", "api"), {**BYTES, "Dropbox-API-Arg": '{"path": "/a"}'}, b"", "the host content"),
        (LIST, {"Content-Type": "text/json"}, '{"path": ""}', "Content-Type"),
        (LIST, {**JSON, "Dropbox-API-Arg": "{}"}, '{"path": ""}', "unexpected HTTP header"),
        (LIST, JSON, "{", "JSON"),
        (LIST, JSON, "", "JSON"),
        (LIST, JSON, b"\xff", "UTF-8"),
        (LIST, JSON, '{"path": "", "recursiv": true}', "unknown field 'recursiv'"),
        (LIST, JSON, '{"path": "", "limit": 2001}', "2001"),
        (LIST, JSON, '{"path": "/"}', "root folder as an empty string"),
        (LIST, JSON, '{"path": "a"}', "did not match pattern"),
        (LIST + "?locale=en", JSON, '{"path": ""}', "query"),
        (LIST + "_v2", JSON, '{"path": ""}', "unknown API function"),
        (LIST.replace("list_folder", "move"), JSON, "{}", "unknown API function"),
        (LIST.replace("/2/", "/1/"), JSON, '{"path": ""}', "unknown API function"),
        (UPLOAD, BYTES, b"x", "must provide HTTP header"),
        (UPLOAD, {"Dropbox-API-Arg": '{"path": "/a"}'}, b"x", "Content-Type"),
        (UPLOAD, {**BYTES, "Dropbox-API-Arg": '{"path": "/\u00e4"}'.encode()}, b"x", "not ASCII"),
        (
            UPLOAD,
            {**BYTES, "Dropbox-API-Arg": '{"path": "/a", "client_modified": "2020-01-01T00:00:00.5Z"}'},
            b"",
            "client_modified",
        ),
        (
            UPLOAD,
            {**BYTES, "Dropbox-API-Arg": '{"path": "/a", "mode": {".tag": "update", "update": "7"}}'},
            b"",
            "mode",
        ),
        (DOWNLOAD, {"Dropbox-API-Arg": '{"path": "/a"}'}, b"x", "no body"),
        (LIST, {**JSON, "Dropbox-API-Select-User": "x"}, '{"path": ""}', "teams"),
        (LIST, {**JSON, "Authorization": "Basic eDp5"}, '{"path": ""}', "Authorization"),
        (LIST.replace("list_folder", "get_metadata"), JSON, '{"path": ""}', "path"),
    ],
)
def test_what_is_not_is_a_bad_request(post: Any, url: str, headers: dict[str, Any], body: Any, why: str) -> None:
    answer = post(url, headers, body)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert why in answer.text


def test_all_is_posted(post: Any) -> None:
    assert post(LIST, JSON, '{"path": ""}', method="GET").status_code == 400


def test_longpoll_takes_no_token_and_is_at_the_host_notify(dropbox_emulator: DropboxEmulator, post: Any) -> None:
    cursor = post(LIST, JSON, '{"path": ""}').json()["cursor"]
    dropbox_emulator.control.write("/new", b"")
    body = json.dumps({"cursor": cursor, "timeout": 30})
    url = "https://notify.dropboxapi.com/2/files/list_folder/longpoll"
    assert "Authorization" in post(url, JSON, body).text
    with dropbox_emulator.session() as session:
        assert session.post(url, headers=JSON, data=body).json() == {"changes": True}
        assert session.post(url.replace("notify", "api"), headers=JSON, data=body).status_code == 400
        assert session.post(url, headers=JSON, data=body.replace("30", "29")).status_code == 400
        assert "cursor" in session.post(url, headers=JSON, data='{"cursor": "made up"}').text


def test_a_path_that_is_none_is_said_to_be_malformed(client: dropbox.Dropbox) -> None:
    for path in ("//a", "/a/", "/a//b", "/a/../b"):
        assert refusal(client.files_get_metadata, path) == "path/malformed_path"
        assert refusal(client.files_upload, b"", path) == "path/malformed_path"
        assert refusal(client.files_create_folder_v2, path) == "path/malformed_path"
        assert refusal(client.files_delete_v2, path) == "path_lookup/malformed_path"


def test_whose_token_does_not_allow_it_is_told_which_scope_is_missing(connect: Connect) -> None:
    client = connect(scopes=["files.metadata.read"])
    client.files_list_folder("")
    with pytest.raises(exceptions.AuthError) as caught:
        client.files_upload(b"", "/a")
    assert caught.value.error.get_missing_scope().required_scope == "files.content.write"


def test_another_root_than_the_account_has_is_refused(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    mine = dropbox_emulator.control.account()["namespace"]
    rooted = client.with_path_root(dropbox.common.PathRoot.root(mine))
    assert rooted.files_list_folder("").entries == []
    assert client.files_list_folder(f"ns:{mine}").entries == []
    assert refusal(client.files_list_folder, "ns:17") == "path/not_found"
    dropbox_emulator.control.change_account(namespace="3999")
    with pytest.raises(exceptions.PathRootError) as caught:
        rooted.files_list_folder("")
    assert caught.value.error.get_invalid_root().root_namespace_id == "3999"


def test_an_account_that_is_suspended(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    dropbox_emulator.control.change_account(suspended=True)
    with pytest.raises(exceptions.AuthError) as caught:
        client.users_get_current_account()
    assert caught.value.error.is_user_suspended()


def test_more_calls_than_are_allowed_count_even_when_they_are_refused(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    dropbox_emulator.control.settings(requests_per_window=2, window_s=100)
    client.files_list_folder("")
    client.files_list_folder("")
    for _ in range(2):
        with pytest.raises(exceptions.RateLimitError) as caught:
            client.files_list_folder("")
        assert caught.value.error.reason.is_too_many_requests()
        assert 95 <= caught.value.backoff <= 101
    dropbox_emulator.control.advance(101)
    client.files_list_folder("")


def test_the_clients_own_checks_are_not_what_this_rests_on(client: dropbox.Dropbox) -> None:
    with pytest.raises(stone_validators.ValidationError):
        client.files_list_folder("a")
