"""The command line as a user has it, and a Desk to talk to."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ..control.running import SAFE, desk_running
from .machine import Machine, a_machine

# these need a mount namespace of their own, and the last a kernel that knows automounts
collect_ignore = [] if os.geteuid() == 0 else ["test_mount_by_fstab.py", "test_mount_by_root.py"]
if os.geteuid() != 0 or "autofs" not in Path("/proc/filesystems").read_text().split():
    collect_ignore.append("test_mount_by_automount.py")
ONITUFS = str(Path(sys.executable).parent / "onitufs")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def onitufs() -> Run:
    """Run `onitufs ARGUMENTS...` and return what became of it."""

    def run(*arguments: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [ONITUFS, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60,
            stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A root and a user on directories and mounts of their own, for those who mount as mount(8) does."""
    with a_machine(ONITUFS) as machine:
        yield machine


class Desk:
    """A running Desk whose answers a test can change."""

    def __init__(self, base: Path) -> None:
        self.mnt = base / "mnt"
        self.state = base / "state"
        self.file = base / "glance.json"
        self.mnt.mkdir()
        self.process: subprocess.Popen[str]
        self.says()

    def says(self, answers: dict[str, Any] | None = None, **glance: Any) -> None:
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps({**SAFE, **glance, "answers": {**SAFE["answers"], **(answers or {})}}))
        draft.rename(self.file)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    with ExitStack() as stack:
        desk.process = stack.enter_context(desk_running(desk.file, desk.mnt, desk.state))
        yield desk
