"""How the caller learns what became of the daemon that it started; the daemon here is a script that does as told."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from onitufs.daemon import detach
from onitufs.daemon.sdnotify import notify
from onitufs.model.errors import Exit

SCRIPT = """
import os, sys
from pathlib import Path
from onitufs.daemon.detach import Caller
caller = Caller(int(sys.argv[sys.argv.index("--ready-fd") + 1]))
exec(sys.argv[1])
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "told_daemon.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "told_daemon"


@contextlib.contextmanager
def ended(pid: int) -> Iterator[int]:
    """End a daemon that was started and reap it."""
    process = os.pidfd_open(pid)
    try:
        yield pid
    finally:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        os.waitid(os.P_PIDFD, process, os.WEXITED)
        os.close(process)


def test_ready_and_on_its_own(module: str, tmp_path: Path) -> None:
    script = f"caller.log_is(Path({str(tmp_path)!r}) / 'onitufs.log'); caller.ready(); print('out', flush=True); " + (
        "os.write(2, b'err'); os.mkfifo(sys.argv[2]); open(sys.argv[2]).read()"
    )
    fifo = tmp_path / "fifo"
    with open(os.devnull) as inherited:
        os.set_inheritable(inherited.fileno(), True)
        with ended(detach.start(module, [script, str(fifo)])) as pid:
            assert os.getsid(pid) == pid
            assert os.readlink(f"/proc/{pid}/cwd") == "/"
            while not fifo.exists():  # it goes on after it said that it is ready
                os.sched_yield()
            open_files = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            assert open_files.pop("0") == "/dev/null"
            assert open_files.pop("1") == open_files.pop("2") == str(tmp_path / "stdio.log")
            assert set(open_files.values()) <= {str(fifo)}
            assert (tmp_path / "stdio.log").read_text() == "out\nerr"


def test_its_error_is_ours(module: str) -> None:
    with pytest.raises(detach.NotStarted) as error:
        detach.start(module, ["caller.failed('setup.json: a\\nsetup.json: b', 2)"])
    assert error.value.problems == ["setup.json: a", "setup.json: b"]
    assert error.value.exit_status == Exit.USAGE


def test_killed_before_it_was_ready(module: str, tmp_path: Path) -> None:
    with pytest.raises(detach.NotStarted) as error:
        detach.start(module, [f"caller.log_is(Path({str(tmp_path)!r}) / 'onitufs.log'); os.kill(os.getpid(), 9)"])
    assert str(error.value) == f"the daemon was killed by SIGKILL before it was ready (see {tmp_path}/onitufs.log)"


def test_dead_with_last_words(module: str) -> None:
    with pytest.raises(detach.NotStarted, match="ended with status 1 before it was ready: ZeroDivisionError: division"):
        detach.start(module, ["1/0"])


def test_silent_for_too_long(module: str, tmp_path: Path) -> None:
    script = "open(sys.argv[2], 'w').write(str(os.getpid())); import signal; signal.pause()"
    with pytest.raises(detach.NotStarted, match="was not ready after 3 s and is stopped"):
        detach.start(module, [script, str(tmp_path / "pid")], patience_s=3)
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_nothing_is_imported_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_daemon.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(detach.NotStarted, match="No module named evil_daemon"):
        detach.start("evil_daemon", [])


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
