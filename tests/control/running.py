"""Starting a Desk as a process of its own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DESK = Path(__file__).with_name("desk.py")
SAFE: dict[str, Any] = {
    "name": "home",
    "setup": "/etc/home.json",
    "verdict": "safe",
    "files": {"all": 214, "directories": 3, "placed": 214, "pending": 0, "failing": 0, "only_here": 0},
    "entries": [],
    "failures": [],
    "answers": {"whereis": {}, "stop": {"done": True, "pending": 0, "busy": False}},
}  # fmt: skip


@contextmanager
def desk_running(glance: Path, mount: Path, state: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen([sys.executable, str(DESK), str(glance), str(mount), str(state)], stdout=-1, text=True)
    with process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.terminate()


StartDesk = Callable[..., "subprocess.Popen[str]"]
