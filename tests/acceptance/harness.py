"""A whole OnituFS on fresh directories, driven by its real command line, as a user would."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import forks

ONITUFS = str(Path(sys.executable).parent / "onitufs")


class Onitu:
    """Entries, setup, state and mount point below one directory; nothing of the caller's own home is touched.

    `afresh`: the program is executed for every command, and not forked off one that has been (see forks.py).
    """

    def __init__(
        self,
        base: Path,
        entries: Sequence[str] = ("a", "b"),
        rules: list[Any] | None = None,
        *,
        afresh: bool = False,
    ) -> None:
        self.base = base
        self.afresh = afresh or bool(os.environ.get("ONITUFS_AFRESH"))
        self.mnt, self.state, self.home, self.setup = base / "mnt", base / "state", base / "home", base / "setup.json"
        self.roots = {name: base / "entries" / name for name in entries}
        for directory in (self.mnt, self.home, *self.roots.values()):
            directory.mkdir(parents=True)
        self.rules = rules if rules is not None else [{"match": {"path": "/"}, "sync": list(entries)}]
        self.extra: dict[str, Any] = {}
        self.more_environment: dict[str, str] = {}
        self.pid: int | None = None
        self.daemons: list[int] = []  # descriptors of processes
        self.write_setup()

    def write_setup(self) -> None:
        """Put the setup as it stands in `rules`, `roots` and `extra` in its file."""
        setup: dict[str, Any] = {
            "name": "acceptance",
            "entries": {
                name: {"driver": "local_storage", "options": {"root": str(root)}} for name, root in self.roots.items()
            },
            "rules": self.rules,
        }
        self.setup.write_text(json.dumps(setup | self.extra, indent=2))

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "GIT_"))}
        return kept | {"HOME": str(self.home), "LC_ALL": "C.UTF-8"} | self.more_environment

    def run(
        self, *command: str | Path, timeout: float = 120, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`onitufs COMMAND...`, whatever its exit status."""
        arguments = [ONITUFS, *map(str, command)]
        if not self.afresh:
            return forks.run(
                arguments, text=text or "", timeout_s=timeout, environment=self.environment, directory=self.base
            )
        return subprocess.run(
            arguments,
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
            cwd=self.base,
            check=False,
        )

    def ok(self, *command: str | Path, timeout: float = 120) -> str:
        """`onitufs COMMAND...`, which has to succeed; what it printed."""
        done = self.run(*command, timeout=timeout)
        assert done.returncode == 0, f"onitufs {command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def mount(self, *options: str) -> None:
        self.ok("mount", self.setup, self.mnt, "--state", self.state, *options)
        self.runs(int(self.status()["pid"]))

    def runs(self, pid: int) -> None:
        """This is its daemon; it is ended, with the test at the latest."""
        self.pid = pid
        self.daemons.append(os.pidfd_open(pid))

    def umount(self, *options: str) -> None:
        self.ok("umount", self.mnt, *options)

    def status(self) -> dict[str, Any]:
        """What `status --json` says, whatever its exit status."""
        answer: dict[str, Any] = json.loads(self.run("status", self.mnt, "--json").stdout)
        return answer

    def wait(self, path: str | Path = "", timeout: int = 90) -> None:
        """Until everything at and below `path` (relative to the mount) is placed."""
        done = self.run("wait", self.mnt / path, "--timeout", str(timeout), timeout=timeout + 60)
        assert done.returncode == 0, f"not placed: {done.stdout}{done.stderr}\n{self.run('status', self.mnt).stdout}"

    def kill(self) -> None:
        """kill -9; returns when the process has gone."""
        assert self.pid is not None
        end(self.pid, signal.SIGKILL)

    def log(self) -> str:
        """The daemon's own log: the last of it."""
        texts = [
            path.read_text(errors="replace")[-20_000:] for path in sorted(self.state.rglob("*.log*")) if path.is_file()
        ]
        return "\n".join(texts)

    def close(self) -> None:
        """End what is left running and mounted, however the test ended."""
        for daemon in self.daemons:
            with contextlib.suppress(ProcessLookupError):
                _end(daemon, signal.SIGKILL, "the daemon")
            os.close(daemon)
        while os.fsencode(self.mnt) in Path("/proc/self/mounts").read_bytes():
            subprocess.run(["umount", "-l", str(self.mnt)], check=True)
        shutil.rmtree(self.base, ignore_errors=True)


def until(what: str, condition: Callable[[], object], within_s: float = 60) -> None:
    """Look again and again until `condition` holds. Fails, saying `what` was waited for, when the time is up."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)  # leaves the processor to those who are waited for


def lives(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not collected yet does not. Source: proc(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(pid: int, how: signal.Signals, timeout_s: float = 60) -> None:
    """Send a signal and wait until the process, which need not be our child, has gone. Raises ProcessLookupError."""
    fd = os.pidfd_open(pid)
    try:
        _end(fd, how, f"process {pid}", timeout_s)
    finally:
        os.close(fd)


def _end(process: int, how: signal.Signals, name: str, timeout_s: float = 60) -> None:
    signal.pidfd_send_signal(process, how)
    ended = select.poll()  # select() takes no descriptor above 1023
    ended.register(process, select.POLLIN)
    ready = ended.poll(timeout_s * 1000)
    assert ready, f"{name} did not end within {timeout_s} s of {how.name}"


def run(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, text: str | None = None
) -> str:
    """Run a program, which has to succeed; what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        input=text or "",
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
