"""An emulator for a test.

One process serves all tests of a worker; each test gets a new service in it (accounts, clock, journal, faults,
settings).
A test that wants it has `from tests.dropbox_emulator.fixture import dropbox_emulator, dropbox_process` in its conftest.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from .remote import Control

ROOT = Path(__file__).parents[2]
APP_KEY = "emulatedapp0001"


@dataclass(frozen=True)
class DropboxEmulator:
    """A running emulator. `control` steers it, `account` is the id of its first account."""

    ports: dict[str, int]
    ca_file: Path
    account: str
    control: Control
    sessions: list[requests.Session] = field(default_factory=list)
    """What was given out by `session`, and is closed in the end."""

    @property
    def environment(self) -> dict[str, str]:
        """What a daemon under test needs in its environment, from its start."""
        return {
            "DROPBOX_API_HOST": f"127.0.0.1:{self.ports['api']}",
            "DROPBOX_API_CONTENT_HOST": f"127.0.0.1:{self.ports['content']}",
            "DROPBOX_API_NOTIFY_HOST": f"127.0.0.1:{self.ports['notify']}",
            "DROPBOX_WEB_HOST": "www.dropbox.invalid",
            "ONITUFS_DROPBOX_CA": str(self.ca_file),
        }

    def session(self, **options: Any) -> requests.Session:
        """A session for an SDK in this process: its hosts are those of the real service, which lead here."""
        session = requests.Session()
        self.sessions.append(session)
        session.trust_env = False
        session.mount("https://", _Here(self.ports, self.ca_file, **options))
        return session


class _Here(HTTPAdapter):
    """Sends what is meant for the service to the emulator. Any other host is a KeyError."""

    def __init__(self, ports: dict[str, int], ca_file: Path, **options: Any) -> None:
        self._ports = {f"{name}.dropboxapi.com": port for name, port in ports.items()}
        self._ca_file = str(ca_file)
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        assert request.url is not None
        scheme, _, rest = request.url.partition("://")
        host, slash, path = rest.partition("/")
        request.url = f"{scheme}://127.0.0.1:{self._ports[host]}{slash}{path}"
        options["verify"] = self._ca_file
        return super().send(request, **options)


@pytest.fixture(scope="session")
def dropbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the process says of itself: ports and CA file."""
    directory = tmp_path_factory.mktemp("dropbox_emulator")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.dropbox_emulator", "--dir", str(directory)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the emulator did not come up"
        yield json.loads(line)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture
def dropbox_emulator(dropbox_process: dict[str, Any]) -> Iterator[DropboxEmulator]:
    """An emulator as new, with one empty account. A bug of the emulator itself fails the test."""
    control = Control(dropbox_process["control"])
    account = control.reset()
    ports = {name: dropbox_process[name] for name in ("api", "content", "notify")}
    emulator = DropboxEmulator(ports, Path(dropbox_process["ca_file"]), account, control)
    yield emulator
    for session in emulator.sessions:
        session.close()
    bugs = control.bugs()
    control.reset()
    control.close()
    assert not bugs, "\n".join(bugs)
