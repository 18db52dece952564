"""SSH agents: the one of the environment, or another that the SSH configuration names (IdentityAgent)."""

import os
import socket

from paramiko.agent import AgentSSH
from paramiko.ssh_exception import SSHException

NO_AGENT = ""


def agent_of(value: str | None) -> str | None:
    """What IdentityAgent says: a socket's path; NO_AGENT; None: the one in SSH_AUTH_SOCK. Source: ssh_config(5)."""
    if value is None or value == "SSH_AUTH_SOCK":
        return None
    if value == "none":
        return NO_AGENT
    if value.startswith("$"):
        return os.environ.get(value[1:].strip("{}"), NO_AGENT)
    return os.path.expanduser(value.replace("%d", "~", 1) if value.startswith("%d/") else value)


class AgentAt(AgentSSH):
    """The agent behind a socket; one that cannot be reached has no keys, as with ssh(1)."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined]  # what Agent does with the one of the environment
        except (OSError, SSHException):
            connection.close()

    def close(self) -> None:
        """Twice is fine."""
        self._close()  # type: ignore[attr-defined]
