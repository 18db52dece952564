"""The unit for a user's mounts, as systemd reads it, and what it says when it is started."""

import os
import shlex
import socket
import subprocess
from pathlib import Path

from ..acceptance.harness import Onitu
from .conftest import ONITUFS, Run


def test_systemd_finds_no_fault_with_it(onitufs: Run, tmp_path: Path) -> None:
    unit = tmp_path / "onitufs@.service"
    unit.write_text(onitufs("unit").stdout)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    command = ["systemd-analyze", "--user", "verify", "--man=no", tmp_path / "onitufs@home.service"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    unit.write_text(unit.read_text().replace(ONITUFS, "/nowhere/onitufs"))
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode != 0


def test_what_it_runs_tells_systemd_when_the_mount_answers(onitufs: Run, tmp_path: Path) -> None:
    """Its own command line, with what systemd would put in."""
    unit = onitufs("unit").stdout
    (line,) = [line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart=")]
    onitu = Onitu(tmp_path / "onitu")
    config = onitu.home / ".config/onitufs"
    config.mkdir(parents=True)
    onitu.setup.rename(config / "home.json")
    point = onitu.home / "home files"
    point.mkdir()
    words = shlex.split(line.replace("%h", str(onitu.home)).replace("%i", "home"))
    words = [word.replace("${MOUNTPOINT}", str(point)) for word in words] + ["--state", str(onitu.state)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as daemon:
            try:
                assert manager.recv(100) == b"READY=1"
                (point / "file").write_text("x")
                daemon.terminate()
                assert manager.recv(100) == b"STOPPING=1"
                assert daemon.wait(60) == 0
            finally:
                if daemon.poll() is None:
                    daemon.kill()
    assert not os.path.ismount(point)
    onitu.close()
