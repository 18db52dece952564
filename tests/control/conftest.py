"""A running Desk, and conversations with it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from onitufs.control import runtime

DESK = Path(__file__).with_name("desk.py")
SAFE: dict[str, Any] = {
    "name": "home",
    "setup": "/etc/home.json",
    "verdict": "safe",
    "files": {"all": 214, "directories": 3, "placed": 214, "pending": 0, "failing": 0, "only_here": 0, "bytes_pending": 0},
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


@pytest.fixture
def start_desk(tmp_path: Path) -> Iterator[StartDesk]:
    """Start a Desk; `glance` changes what it says. Its mount is tmp_path/`mount`."""
    with ExitStack() as stack:

        def start(mount: str = "mnt", **glance: Any) -> "subprocess.Popen[str]":
            file = tmp_path / f"{mount}.json"
            file.write_text(json.dumps({**SAFE, **glance}))
            (tmp_path / mount).mkdir(exist_ok=True)
            return stack.enter_context(desk_running(file, tmp_path / mount, tmp_path / "state"))

        yield start


@pytest.fixture
def daemon(start_desk: StartDesk, tmp_path: Path) -> runtime.Daemon:
    start_desk()
    return runtime.find(str(tmp_path / "mnt"))[0]
