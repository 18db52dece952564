"""PKCE without redirect, refresh, revocation, expiry; and the way a daemon gets here, by the SDK's own variables."""

import os
import subprocess
import sys

import dropbox
import pytest
import requests
from dropbox import exceptions

from .conftest import Connect
from .fixture import APP_KEY, DropboxEmulator
from .remote import Refusal

Flow = dropbox.DropboxOAuth2FlowNoRedirect


@pytest.fixture
def flow(dropbox_emulator: DropboxEmulator) -> Flow:
    return a_flow(dropbox_emulator)


def a_flow(dropbox_emulator: DropboxEmulator, **options: object) -> Flow:
    flow = Flow(APP_KEY, **{"use_pkce": True, "token_access_type": "offline", **options})
    flow.requests_session = dropbox_emulator.session()
    return flow


def test_a_code_becomes_a_refresh_token_that_works(flow: Flow, dropbox_emulator: DropboxEmulator) -> None:
    done = flow.finish(dropbox_emulator.control.authorize(flow.start()))
    assert done.account_id == dropbox_emulator.account
    assert done.scope.split(" ") == sorted(done.scope.split(" "))
    client = dropbox.Dropbox(
        oauth2_refresh_token=done.refresh_token, app_key=APP_KEY, session=dropbox_emulator.session()
    )
    assert client.users_get_current_account().account_id == dropbox_emulator.account


def test_the_user_may_sign_in_to_another_account(flow: Flow, dropbox_emulator: DropboxEmulator) -> None:
    other = dropbox_emulator.control.add_account()
    assert flow.finish(dropbox_emulator.control.authorize(flow.start(), account=other)).account_id == other


def test_a_code_is_good_once_for_ten_minutes_and_for_who_asked(flow: Flow, dropbox_emulator: DropboxEmulator) -> None:
    control = dropbox_emulator.control
    code = control.authorize(flow.start())
    with pytest.raises(requests.HTTPError, match="400"):
        a_flow(dropbox_emulator).finish(code)  # another verifier
    flow.finish(code)
    late = control.authorize(flow.start())
    for bad in (code, "made up"):
        with pytest.raises(requests.HTTPError, match="400"):
            flow.finish(bad)
    control.advance(601)
    with pytest.raises(requests.HTTPError, match="400"):
        flow.finish(late)


def test_pages_that_would_not_open(flow: Flow, dropbox_emulator: DropboxEmulator) -> None:
    url = flow.start()
    for bad, why in (
        (url.replace("S256", "plain"), "PKCE"),
        (url.replace(APP_KEY, "x"), "client_id"),
        (url.replace("www.", "api."), "no page"),
        (url + "&redirect_uri=http://localhost", "redirect"),
        (a_flow(dropbox_emulator, scope=["files.content.reed"]).start(), "no such scope"),
    ):
        with pytest.raises(Refusal, match=why):
            dropbox_emulator.control.authorize(bad)


def test_a_flow_that_asks_for_no_refresh_token_gets_none(dropbox_emulator: DropboxEmulator) -> None:
    flow = a_flow(dropbox_emulator, token_access_type="online")
    assert flow.finish(dropbox_emulator.control.authorize(flow.start())).refresh_token == ""


def test_a_public_app_has_no_secret(dropbox_emulator: DropboxEmulator) -> None:
    token = dropbox_emulator.control.refresh_token()
    client = dropbox.Dropbox(
        oauth2_refresh_token=token, app_key=APP_KEY, app_secret="x", session=dropbox_emulator.session()
    )
    with pytest.raises(exceptions.BadInputError, match="invalid_client"):
        client.users_get_current_account()


def test_an_access_token_that_expired_is_renewed_once(
    client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator
) -> None:
    client.users_get_current_account()
    dropbox_emulator.control.expire_tokens()
    client.users_get_current_account()
    assert len(dropbox_emulator.control.journal("oauth2/token")) == 2
    dropbox_emulator.control.advance(14_401)
    client.users_get_current_account()
    statuses = [entry["status"] for entry in dropbox_emulator.control.journal("users/get_current_account")]
    assert statuses == [200, 401, 200, 401, 200]


def test_what_the_user_took_back_is_gone(client: dropbox.Dropbox, dropbox_emulator: DropboxEmulator) -> None:
    client.users_get_current_account()
    dropbox_emulator.control.revoke_tokens()
    with pytest.raises(exceptions.AuthError) as caught:
        client.users_get_current_account()
    assert caught.value.error.is_invalid_access_token()
    with pytest.raises(exceptions.AuthError):
        client.refresh_access_token()


def test_what_the_app_gives_back_is_gone_but_no_other_login(
    connect: Connect, dropbox_emulator: DropboxEmulator
) -> None:
    client, other = connect(), connect()
    other.users_get_current_account()
    client.auth_token_revoke()
    with pytest.raises(exceptions.AuthError):
        client.users_get_current_account()
    other.users_get_current_account()
    assert len(dropbox_emulator.control.journal("oauth2/token")) == 2


def test_a_refresh_token_may_get_less_but_not_more(connect: Connect) -> None:
    client = connect(scopes=["account_info.read"])
    with pytest.raises(exceptions.BadInputError, match="invalid_scope"):
        client.refresh_access_token(scope=["files.content.read"])
    client.refresh_access_token(scope=["account_info.read"])


PROGRAM = """
import os, dropbox
session = dropbox.create_session(ca_certs=os.environ["ONITUFS_DROPBOX_CA"])
session.trust_env = False
client = dropbox.Dropbox(oauth2_refresh_token=os.environ["TOKEN"], app_key=os.environ["KEY"], session=session)
print(client.files_upload(b"hello", "/a").path_lower, client.files_download("/a")[1].content)
cursor = client.files_list_folder("").cursor
client.files_delete_v2("/a")
print(client.files_list_folder_longpoll(cursor).changes)
flow = dropbox.DropboxOAuth2FlowNoRedirect(os.environ["KEY"], use_pkce=True, token_access_type="offline",
    ca_certs=os.environ["ONITUFS_DROPBOX_CA"])
print(flow.start())
"""


def test_a_program_is_led_here_by_its_environment(dropbox_emulator: DropboxEmulator) -> None:
    token = dropbox_emulator.control.refresh_token()
    environment = {**os.environ, **dropbox_emulator.environment, "TOKEN": token, "KEY": APP_KEY}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    uploaded, changes, url = done.stdout.splitlines()
    assert (uploaded, changes) == ("/a b'hello'", "True")
    assert dropbox_emulator.control.authorize(url)
    del environment["ONITUFS_DROPBOX_CA"]
    without_ca = PROGRAM.replace('ca_certs=os.environ["ONITUFS_DROPBOX_CA"]', "")
    done = subprocess.run(
        [sys.executable, "-c", without_ca], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
