"""References to secrets: read at each use, stored for this user alone."""

import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring

from onitufs.drivers.values import Secret, secret
from onitufs.model.secrets import hidden


class InMemory(KeyringBackend):
    """A keyring that is unlocked."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def unlocked() -> Iterator[InMemory]:
    before, backend = keyring.get_keyring(), InMemory()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def test_what_is_stored_is_read_again_by_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "made" / "token"
    reference = secret({"file": "made/token"}, tmp_path)
    reference.store("first token")
    assert reference.reveal() == "first token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    reference.store("second token")
    assert reference.reveal() == "second token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["token"]
    assert hidden("it is second token", "*") == "it is *"


def test_a_secret_that_cannot_be_stored_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=f"cannot store the secret in file {tmp_path}/file/token"):
        secret({"file": "file/token"}, tmp_path).store("x" * 9)
    with pytest.raises(ValueError, match=r'nothing can be stored in env TOKEN; refer to the secret as \{"file"'):
        secret({"env": "TOKEN"}, tmp_path).store("x" * 9)


def test_a_keyring_keeps_it_under_our_name(tmp_path: Path, unlocked: InMemory) -> None:
    reference = secret({"keyring": "box"}, tmp_path)
    assert reference == Secret("keyring", "box")
    with pytest.raises(ValueError, match="there is no secret in keyring box"):
        reference.reveal()
    reference.store("kept well")
    assert unlocked.kept == {("onitufs", "box"): "kept well"}
    assert reference.reveal() == "kept well"


def test_where_there_is_no_keyring_it_says_what_to_do(tmp_path: Path) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())
    try:
        reference = secret({"keyring": "box"}, tmp_path)
        for use in (reference.reveal, lambda: reference.store("kept well")):
            with pytest.raises(
                ValueError, match=r'hold box cannot be used here: .*; unlock it, or .*\{"file": "PATH"\}'
            ):
                use()
    finally:
        keyring.set_keyring(before)
