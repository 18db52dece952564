"""A running Desk, and conversations with it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from onitufs.control import runtime

from .running import SAFE, StartDesk, desk_running

collect_ignore = [] if os.geteuid() == 0 else ["test_other_users.py"]


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
