"""How the starter learns what became of the daemon that it started; the daemon here is a script that does as told."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onitufs.daemon.sdnotify import notify
from onitufs.model.errors import Exit

# A process of its own: one that has threads must not fork.
STARTER = """
import json, os, sys
from pathlib import Path
from onitufs.daemon import detach

def daemon(caller):
    exec(sys.argv[1])
    return 0

def gift():
    exec(sys.argv[2])

try:
    pid = detach.start(daemon, gift=gift if sys.argv[2] != "None" else None, patience_s=float(sys.argv[3]))
    said = {"pid": pid}
except detach.NotStarted as error:
    said = {"problems": error.problems, "exit": error.exit_status}
except KeyError as error:
    said = {"gift": str(error)}
print(json.dumps(said))
"""


def start(code: str, *, gift: str | None = None, patience_s: float = 60, **options: Any) -> dict[str, Any]:
    """Start a daemon that runs `code`: its pid, or the problems and the exit status."""
    if gift is not None:
        gift = f"global given; given = {gift}"
    starter = STARTER.replace("exec(sys.argv[2])", "scope = {}; exec(sys.argv[2], scope); return scope['given']")
    command = [sys.executable, "-c", starter, code, gift or "None", str(patience_s)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90, **options)
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@contextlib.contextmanager
def ended(pid: int) -> Iterator[int]:
    """End a daemon that was started."""
    process = os.pidfd_open(pid)
    try:
        yield pid
    finally:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        os.close(process)


def test_ready_and_on_its_own(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    code = f"caller.log_is(Path({str(tmp_path)!r}) / 'onitufs.log'); caller.ready(); print('out', flush=True); " + (
        f"os.write(2, b'err'); os.mkfifo({str(fifo)!r}); open({str(fifo)!r}).read()"
    )
    with open(os.devnull) as inherited, ended(start(code, pass_fds=[inherited.fileno()])["pid"]) as pid:
        assert os.getsid(pid) == pid
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        while not fifo.exists():  # it goes on after it said that it is ready
            os.sched_yield()
        open_files = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert open_files.pop("0") == "/dev/null"
        assert open_files.pop("1") == open_files.pop("2") == str(tmp_path / "stdio.log")
        assert {name for name in open_files.values() if not name.startswith("pipe:")} <= {str(fifo)}
        assert (tmp_path / "stdio.log").read_text() == "out\nerr"


def test_until_it_is_ready_it_is_in_the_group_of_who_started_it(tmp_path: Path) -> None:
    """Or an automount that waits for it would let neither of the two see the mount point."""
    code = f"open({str(tmp_path / 'group')!r}, 'w').write(f'{{os.getpgrp()}} {{os.getpgid(os.getppid())}}'); 1 / 0"
    start(code)
    own, starters = (tmp_path / "group").read_text().split()
    assert own == starters


def test_what_the_starter_has_worked_out_arrives(tmp_path: Path) -> None:
    large = 3 * 64 * 1024  # more than a pipe holds
    code = f"given = caller.receive(); open({str(tmp_path / 'given')!r}, 'w').write(given[1]); caller.ready()"
    assert "pid" in start(code, gift=f"(7, 'x' * {large})")
    assert (tmp_path / "given").read_text() == "x" * large
    assert "pid" in start("assert caller.receive() is None; caller.ready()")


def test_what_the_starter_cannot_work_out_is_its_error_and_the_end_of_the_daemon(tmp_path: Path) -> None:
    # By one rename: it may be ended at any moment, and an empty name in /proc is /proc.
    made, pid = str(tmp_path / "made"), str(tmp_path / "pid")
    code = (
        f"open({made!r}, 'w').write(str(os.getpid())); os.rename({made!r}, {pid!r}); caller.receive(); caller.ready()"
    )
    assert start(code, gift="{}['no such key']") == {"gift": "'no such key'"}
    assert not Path(pid).exists() or not Path("/proc", Path(pid).read_text()).exists()


def test_a_daemon_that_dies_before_it_takes_what_it_is_given() -> None:
    said = start("os._exit(7)", gift="b'x' * 1000000")
    assert said["problems"] == ["the daemon ended with status 7 before it was ready"]


def test_its_error_is_ours() -> None:
    said = start("caller.failed('setup.json: a\\nsetup.json: b', 2)")
    assert said == {"problems": ["setup.json: a", "setup.json: b"], "exit": Exit.USAGE}


def test_killed_before_it_was_ready(tmp_path: Path) -> None:
    said = start(f"caller.log_is(Path({str(tmp_path)!r}) / 'onitufs.log'); os.kill(os.getpid(), 9)")
    assert said["problems"] == [f"the daemon was killed by SIGKILL before it was ready (see {tmp_path}/onitufs.log)"]


def test_dead_with_last_words() -> None:
    (problem,) = start("1/0")["problems"]
    assert problem == "the daemon ended with status 1 before it was ready: ZeroDivisionError: division by zero"


def test_silent_for_too_long(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    said = start(f"open({str(pid)!r}, 'w').write(str(os.getpid())); import signal; signal.pause()", patience_s=3)
    assert "was not ready after 3 s and is stopped" in str(said["problems"])
    assert not Path("/proc", pid.read_text()).exists()


def test_nothing_is_imported_from_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "evil_daemon.py").write_text("raise SystemExit(7)")
    said = start("import evil_daemon", cwd=tmp_path)
    assert "No module named 'evil_daemon'" in str(said["problems"])


def test_a_service_manager_is_told(tmp_path: Path) -> None:
    import socket

    for address in (str(tmp_path / "notify"), f"\0onitufs-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            environment = {**os.environ, "NOTIFY_SOCKET": address.replace("\0", "@")}
            code = "from onitufs.daemon.sdnotify import notify; print(notify('READY=1'))"
            said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
            assert said.stdout == b"True\n"
            assert manager.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")
