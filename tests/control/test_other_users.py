"""Nobody but the owner and root is answered, even where the socket could be reached."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from onitufs.control import runtime
from onitufs.control.client import Conversation

ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(b'{"v":1,"do":"status"}\\n')
    print(s.recv(100))
except (BrokenPipeError, ConnectionResetError):
    print(b"")
"""


@pytest.fixture
def wide_open(daemon: runtime.Daemon) -> Iterator[Path]:
    """The daemon's socket at a place where everybody can reach it."""
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        Path(directory).chmod(0o755)
        reachable = Path(directory, "socket")
        reachable.hardlink_to(Path(daemon.directory, daemon.socket_name))
        reachable.chmod(0o666)
        yield reachable


def test_another_user_gets_no_answer_and_root_does(wide_open: Path, daemon: runtime.Daemon) -> None:
    def ask(user: int) -> str:
        command = ["/usr/bin/python3", "-c", ASK, str(wide_open)]
        return subprocess.run(command, capture_output=True, text=True, check=True, user=user, timeout=20).stdout

    assert '"ok"' in ask(0)
    assert ask(65534) == "b''\n"
    with Conversation(daemon) as conversation:
        assert conversation.ask("status"), "the daemon goes on"
