"""A real sshd of our own, on loopback, with its own keys: started, killed and ended by the test that asked for it."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SSHD = "/usr/sbin/sshd"
_PATIENCE_S = 30.0


class Sshd:
    """A server whose directory `files` is served. `chrooted`: internal-sftp, no shell, and its own user; `/files` then.

    `more`: lines of its configuration. Everything lies below `base`.
    """

    def __init__(self, *, chrooted: bool = False, more: tuple[str, ...] = ()) -> None:
        # sshd wants that nobody else can write to what is above a chroot: /tmp will not do.
        self.base = Path(tempfile.mkdtemp(prefix="onitufs-sshd-", dir="/run" if os.geteuid() == 0 else None))
        self.base.chmod(0o755)
        self.chrooted = chrooted
        self.more = more
        self.user = "nobody" if chrooted else pwd.getpwuid(os.geteuid()).pw_name
        self.files = self.base / "served" / "files"
        self.files.mkdir(parents=True)
        self.give(self.files)
        self.root = "/files" if chrooted else str(self.files)
        self.key = self.base / "user_key"
        self.host_key = self.base / "host_key"
        new_key(self.key)
        new_key(self.host_key)
        (self.base / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)

    def give(self, path: Path) -> None:
        """Make who logs in the owner of it."""
        account = pwd.getpwnam(self.user)
        os.chown(path, account.pw_uid, account.pw_gid)

    # -- what it is called --------------------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        printed = subprocess.run(
            ["ssh-keygen", "-l", "-f", self.host_key], capture_output=True, text=True, check=True
        ).stdout
        return printed.split()[1]

    def options(self, **more: Any) -> dict[str, Any]:
        """Options of an entry there, as in a setup; it knows the host key by its fingerprint."""
        known = {} if "host_key" in more else {"host_key": self.fingerprint}
        return {
            "host": "127.0.0.1", "port": self.port, "user": self.user, "root": self.root, "key": str(self.key),
            "ssh_config": "none", **known, **{key: value for key, value in more.items() if value is not None},
        }  # fmt: skip

    def known_hosts_line(self) -> str:
        kind, key = self.host_key.with_suffix(".pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> "Sshd":
        """Start it; on the port that it had before, if it had one."""
        deadline = time.monotonic() + _PATIENCE_S
        chosen = self.port
        while True:
            port = chosen or _free_port()
            if self._try(port):
                self.port = port
                return self
            assert time.monotonic() < deadline, f"sshd did not start: {self.log()}"
            time.sleep(0.1)  # another program has the port

    def _try(self, port: int) -> bool:
        lines = [
            f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {self.host_key}", "PidFile none", "UsePAM no",
            f"AuthorizedKeysFile {self.base}/authorized_keys", "StrictModes no", "PermitRootLogin yes", "UseDNS no",
            "PasswordAuthentication no", "KbdInteractiveAuthentication no", "LogLevel VERBOSE",
            "MaxStartups 100", *self.more,
        ]  # fmt: skip
        if self.chrooted:
            lines += [
                "Subsystem sftp internal-sftp", f"ChrootDirectory {self.base}/served", "ForceCommand internal-sftp",
                "AllowTcpForwarding no",
            ]  # fmt: skip
        elif not any(line.startswith("Subsystem") for line in self.more):
            lines.append("Subsystem sftp internal-sftp")
        config = self.base / "sshd_config"
        config.write_text("\n".join(lines) + "\n")
        with open(self.base / "log", "ab") as log:
            process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._process = process
        deadline = time.monotonic() + _PATIENCE_S
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0) as connection:
                connection.settimeout(5.0)
                if connection.recv(4) == b"SSH-" and process.poll() is None:
                    return True
            assert time.monotonic() < deadline, f"sshd does not answer: {self.log()}"
            time.sleep(0.02)
        self._process = None
        return False

    def pids(self) -> list[int]:
        """The server and all that serve a connection, itself first."""
        if self._process is None:
            return []
        found = [self._process.pid]
        for pid in found:
            found += _children(pid)
        return found

    def kill(self) -> None:
        """kill -9 of the server and of every connection."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        self._process = None

    def freeze(self, *, go_on: bool = False) -> None:
        """Stop all of it where it is, as a machine that hangs; the network goes on to take what is sent."""
        for pid in self.pids():
            os.kill(pid, signal.SIGCONT if go_on else signal.SIGSTOP)

    def new_host_key(self) -> None:
        """It is another machine from its next start on, as far as anybody can tell."""
        self.host_key.unlink()
        self.host_key.with_suffix(".pub").unlink()
        new_key(self.host_key)

    def log(self) -> str:
        return (self.base / "log").read_text(errors="replace")[-4000:]

    def end(self) -> None:
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)


def new_key(file: Path, passphrase: str = "", kind: str = "ed25519") -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", file], check=True, capture_output=True)


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def ended_after(*servers: Sshd) -> Iterator[Sshd]:
    """For fixtures: a running server, ended when the test is through."""
    (server,) = servers
    try:
        yield server.start()
    finally:
        server.end()
