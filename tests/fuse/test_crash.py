"""A daemon that crashes takes nobody with it into the kernel."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .mounted import Mounted


def sits_in_the_kernel(process: int) -> bool:
    """Whether a thread tells the kernel of a change, and waits for a call in that directory to end."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return any((task / "wchan").read_text() == "fuse_reverse_inval_entry" for task in tasks)


def test_a_crash_ends_who_waits_and_the_daemon(mount: Callable[..., Mounted]) -> None:
    """Though a thread of the daemon waits for a call to end that only the daemon could answer."""
    mounted = mount().start()
    assert mounted.process is not None
    mounted.call("arrive", path="f", text="x", tell=False)
    (mounted.root / "f").read_text()
    with subprocess.Popen(["mkdir", mounted.root / "never answered"], stderr=subprocess.DEVNULL) as waiting:
        mounted.call("came")
        mounted.call("tell_kernel", path="f")
        deadline = time.monotonic() + 30
        while not sits_in_the_kernel(mounted.process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        mounted.tell("crash")
        assert mounted.process.wait(60) != 0
        assert waiting.wait(60) != 0
