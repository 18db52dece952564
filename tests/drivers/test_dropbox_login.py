"""Logging in to Dropbox: from the question to a token that works, on a machine without a browser."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from onitufs.drivers.dropbox.login import DropboxLogin
from onitufs.drivers.dropbox.options import DropboxOptions
from onitufs.drivers.values import Secret
from onitufs.model.errors import AuthNeeded, NeedsPerson
from onitufs.model.ids import EntryName
from tests.dropbox_emulator.fixture import APP_KEY, DropboxEmulator, dropbox_emulator, dropbox_process

__all__ = ["dropbox_emulator", "dropbox_process"]


class Emulated(DropboxLogin):
    """The login, whose connections lead to the emulator."""

    emulator: DropboxEmulator

    def new_session(self) -> requests.Session:
        return self.emulator.session()


@pytest.fixture
def options(tmp_path: Path) -> DropboxOptions:
    return DropboxOptions(app_key=APP_KEY, token=Secret("file", str(tmp_path / "private" / "token")), root="")


@pytest.fixture
def logins(dropbox_emulator: DropboxEmulator, options: DropboxOptions, tmp_path: Path) -> type[DropboxLogin]:
    Emulated.emulator = dropbox_emulator
    return Emulated


def new(kind: type[DropboxLogin], options: DropboxOptions, tmp_path: Path) -> DropboxLogin:
    return kind(options, entry=EntryName("box"), work_dir=tmp_path / "work")


def page(login: DropboxLogin) -> str:
    question = login.start()
    assert question is not None
    assert not question.secret
    (url,) = [word for word in question.text.split() if word.startswith("https://www.dropbox.com/oauth2/authorize?")]
    return url


def test_a_code_given_to_another_process_is_enough(
    logins: type[DropboxLogin], dropbox_emulator: DropboxEmulator, options: DropboxOptions, tmp_path: Path
) -> None:
    url = page(new(logins, options, tmp_path))
    kept = tmp_path / "work" / "login.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    code = dropbox_emulator.control.authorize(url)
    assert page(new(logins, options, tmp_path)) == url  # whoever looks again sees the page whose code is good
    begun = json.loads(kept.read_text())
    kept.write_text(json.dumps(begun | {"began": begun["began"] - 601}))
    assert page(new(logins, options, tmp_path)) != url  # whose code would be too old by now
    kept.write_text(json.dumps(begun))
    done = new(logins, options, tmp_path).finish(code)
    assert done.startswith("logged in as Ada Example (user")
    assert not kept.exists()
    token = Path(options.token.name)
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(token.read_text().strip()) > 40
    assert APP_KEY not in token.read_text()


def test_what_is_no_good_code_is_refused_and_keeps_nothing(
    logins: type[DropboxLogin], dropbox_emulator: DropboxEmulator, options: DropboxOptions, tmp_path: Path
) -> None:
    again = "; run: onitufs auth login box"
    with pytest.raises(AuthNeeded, match=f"no code was asked for.*{again}"):
        new(logins, options, tmp_path).finish("x")
    code = dropbox_emulator.control.authorize(page(new(logins, options, tmp_path)))
    with pytest.raises(AuthNeeded, match=f"does not accept this code{again}"):
        new(logins, options, tmp_path).finish(code + "x")
    dropbox_emulator.control.advance(seconds=3600)
    with pytest.raises(AuthNeeded, match="does not accept this code"):
        new(logins, options, tmp_path).finish(code)
    assert not Path(options.token.name).exists()


def test_a_place_where_nothing_can_be_kept_is_said_before_the_page(
    logins: type[DropboxLogin], options: DropboxOptions, tmp_path: Path
) -> None:
    nowhere = DropboxOptions(app_key=APP_KEY, token=Secret("env", "TOKEN"), root="")
    with pytest.raises(NeedsPerson, match="nothing can be stored in env TOKEN; refer to the secret as"):
        new(logins, nowhere, tmp_path).start()


def test_the_sdk_is_imported_by_an_entry_and_by_nobody_else() -> None:
    code = (
        "import sys; from pathlib import Path; from onitufs.drivers.registry import Registry;"
        "d = Registry().get('dropbox'); d.read_options({'app_key': 'k', 'token': {'file': 't'}}, Path('/'), '');"
        "print([m for m in ('dropbox', 'requests', 'stone', 'keyring') if m in sys.modules]); d.load();"
        "print('dropbox' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True"]
