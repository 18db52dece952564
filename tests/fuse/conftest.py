"""Mounts for these tests, and the plain disk beside them as the control."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .mounted import Mounted

# What two users see of each other takes root to set up. Not collected, rather than skipped, for anybody else.
collect_ignore = [] if os.geteuid() == 0 else ["test_two_users.py", "test_devices.py", "test_dead_entry.py"]


@pytest.fixture(scope="session", autouse=True)
def connections() -> None:
    """Where /sys/fs/fuse/connections is not there (a container, a chroot) root can bring it."""
    if os.geteuid() == 0 and not os.listdir("/sys/fs/fuse/connections"):
        subprocess.run(["mount", "-t", "fusectl", "fusectl", "/sys/fs/fuse/connections"], check=False)


@pytest.fixture(scope="session")
def _shared() -> Iterator[Mounted]:
    mounted = Mounted()
    try:
        yield mounted.start()
    finally:
        mounted.close()


@pytest.fixture(scope="session")
def _shared_with_xattr() -> Iterator[Mounted]:
    mounted = Mounted(xattr=True)
    try:
        yield mounted.start()
    finally:
        mounted.close()


@pytest.fixture
def mounted(_shared: Mounted) -> Mounted:
    """A mount that other tests use, too: stay below a directory of your own."""
    return _shared


@pytest.fixture
def here(_shared: Mounted, request: pytest.FixtureRequest) -> Path:
    """A fresh directory in the shared mount."""
    return _fresh(_shared.root, request)


@pytest.fixture
def xattr_here(_shared_with_xattr: Mounted, request: pytest.FixtureRequest) -> Path:
    """A fresh directory in a mount with extended attributes."""
    return _fresh(_shared_with_xattr.root, request)


@pytest.fixture(params=["mount", "disk"])
def place(_shared: Mounted, request: pytest.FixtureRequest) -> Path:
    """A fresh directory: in the shared mount, and on the disk as the control. Both must behave alike."""
    return _fresh(_shared.root if request.param == "mount" else _shared.disk, request)


def _fresh(above: Path, request: pytest.FixtureRequest) -> Path:
    directory = above / f"{abs(hash(request.node.nodeid)):x}"
    directory.mkdir()
    return directory


@pytest.fixture
def mount() -> Iterator[Callable[..., Mounted]]:
    """Makes mounts of a test's own: mount(**options) is not started yet."""
    made: list[Mounted] = []

    def make(**options: Any) -> Mounted:
        made.append(Mounted(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()
