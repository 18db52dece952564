"""Whatever a handler raises, the caller gets an errno and the mount goes on."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from .expecting import fails
from .mounted import Mounted


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("bug", errno.EIO),
        ("bug in a nursery", errno.EIO),
        ("disk error in a nursery", errno.EIO),
        ("deadline", errno.ETIMEDOUT),
    ],
)
def test_the_caller_gets_an_errno_and_the_mount_lives(here: Path, name: str, number: int) -> None:
    for _ in range(3):
        fails(number, (here / name).mkdir)
    (here / "after").write_text("still here")
    assert (here / "after").read_text() == "still here"


def test_a_bug_is_in_the_log_with_its_traceback(mount: Callable[..., Mounted]) -> None:
    mounted = mount().start()
    fails(errno.EIO, (mounted.root / "bug").mkdir)
    assert "ZeroDivisionError: planted" in mounted.logged()
    assert "mkdir" in mounted.logged()
