"""What `status` says, and how it ends."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import ONITUFS, Desk, Run


def entry(**facts: Any) -> dict[str, Any]:
    return {"name": "nas", "driver": "local_storage", "mode": "rw", "health": "up", "since": "2026-11-24T15:00:00Z",
            "message": "", "remedy": "", "queued": 0, "running": [], **facts}  # fmt: skip


def files(**counts: int) -> dict[str, int]:
    nothing = dict.fromkeys(("all", "directories", "placed", "pending", "failing", "only_here", "bytes_pending"), 0)
    return nothing | {"all": 214} | counts


def test_all_safe(desk: Desk, onitufs: Run) -> None:
    desk.says(entries=[entry()])
    done = onitufs("status", desk.mnt)
    assert done.stdout.splitlines()[0] == "SAFE: all 214 files are where the rules want them"
    assert "nas  local_storage  up" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("verdict", "counts", "health", "line", "status"),
    [
        ("safe", {"all": 0}, "up", "SAFE: there are no files yet", 0),
        ("safe", {"all": 1}, "up", "SAFE: the 1 file is where the rules want it", 0),
        ("pending", {"pending": 3}, "up", "3 pending", 5),
        ("pending", {"pending": 3, "bytes_pending": 5 << 20}, "up", "3 pending (5.0 MiB)", 5),
        ("failing", {"failing": 1}, "degraded", "1 failing", 6),
        ("failing", {"failing": 1, "pending": 3}, "full", "1 failing, 3 pending", 8),
        ("failing", {"failing": 1}, "up", "1 failing", 7),
        ("needs-person", {"pending": 3}, "suspended", "NEEDS YOU: entry nas, 3 pending", 7),
        ("needs-person", {}, "auth-needed", "NEEDS YOU: entry nas", 7),
    ],
)
def test_the_first_line_and_the_exit_status_say_what_is_the_matter(
    desk: Desk, onitufs: Run, verdict: str, counts: dict[str, int], health: str, line: str, status: int
) -> None:
    desk.says(verdict=verdict, files=files(**counts), entries=[entry(health=health)])
    done = onitufs("status", desk.mnt)
    assert (done.stdout.splitlines()[0], done.returncode) == (line, status)


def test_trouble_is_shown_with_its_remedy(desk: Desk, onitufs: Run) -> None:
    desk.says(
        verdict="failing",
        files=files(failing=1, only_here=2),
        entries=[entry(health="degraded", message="no answer from 10.0.0.1", remedy="tried again in 30 s")],
        failures=[{"path": "/a:b", "entry": "nas", "reason": "the name is refused", "remedy": "rename it"}],
    )
    lines = onitufs("status", desk.mnt).stdout.splitlines()
    assert "2 files only here: no rule names an entry for them" in lines
    assert "nas: no answer from 10.0.0.1: tried again in 30 s" in lines
    assert "/a:b on nas: the name is refused: rename it" in lines


def test_json_is_one_object_with_its_version(desk: Desk, onitufs: Run) -> None:
    done = onitufs("status", desk.mnt, "--json")
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    assert answer["v"] == 1
    assert answer["files"]["all"] == 214
    assert answer["mount"] == str(desk.mnt)


def test_watching_in_a_pipe_prints_a_line_for_each_change_until_interrupted(desk: Desk) -> None:
    with subprocess.Popen([ONITUFS, "status", desk.mnt, "--watch"], stdout=-1, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("SAFE")
        desk.says(verdict="pending", files=files(pending=2))
        assert watching.stdout.readline() == "2 pending\n"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 5


def test_watching_as_json_is_one_object_a_line(desk: Desk) -> None:
    with subprocess.Popen([ONITUFS, "status", desk.mnt, "--watch", "--json"], stdout=-1, text=True) as watching:
        assert watching.stdout is not None
        for _ in range(2):
            assert json.loads(watching.stdout.readline())["verdict"] == "safe"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0


def test_watching_on_a_terminal_draws_names_as_they_are(desk: Desk) -> None:
    transfer = {"path": "/a[bold]b\x1b[31m", "what": "put", "bytes": 512, "of": 1024, "bytes_per_s": 256}
    desk.says(verdict="pending", files=files(pending=1), entries=[entry(running=[transfer])])
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150"}
    with subprocess.Popen([ONITUFS, "status", desk.mnt, "-w"], stdout=theirs, env=environment) as watching:
        os.close(theirs)
        drawn = b""
        while b"256 B/s" not in drawn:
            drawn += os.read(ours, 65536)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 5
    os.close(ours)
    assert b"/a[bold]b\\x1b[31m -> nas" in drawn
    assert b"512 B of 1.0 KiB" in drawn


def test_without_a_path_the_only_daemon_answers(desk: Desk, onitufs: Run, tmp_path: Path) -> None:
    """Others may run on this machine: then they are listed."""
    done = onitufs("status")
    assert done.returncode == 0 or str(desk.mnt) in done.stderr
