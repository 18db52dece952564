"""Mounts for the tests: each on directories of its own, none left behind."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dropbox_emulator.fixture import DropboxEmulator
from tests.dropbox_emulator.fixture import dropbox_emulator as dropbox_emulator
from tests.dropbox_emulator.fixture import dropbox_process as dropbox_process
from tests.sftp.fixtures import new_sshd as new_sshd

from .box import Box
from .harness import Onitu

Maker = Callable[..., Onitu]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add the daemon's log to the report of a test that failed."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            if isinstance(value, Onitu):
                report.sections.append(("log of the daemon", value.log()))
    return report


def _maker() -> Iterator[Maker]:
    made: list[Onitu] = []

    def make(*args: Any, **kwargs: Any) -> Onitu:
        base = Path(tempfile.mkdtemp(prefix="onitufs-test-", dir="/var/tmp"))
        base.chmod(0o755)
        made.append(Onitu(base, *args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def new_onitu() -> Iterator[Maker]:
    """Makes an Onitu that is not mounted yet."""
    yield from _maker()


@pytest.fixture
def onitu(new_onitu: Maker) -> Onitu:
    """A mount whose every file goes to the entries a and b."""
    made = new_onitu()
    made.mount()
    return made


@pytest.fixture(scope="module")
def shared_onitu() -> Iterator[Onitu]:
    """As `onitu`, for a module whose tests each work in a directory of their own."""
    for make in _maker():
        made = make()
        made.mount()
        yield made


@pytest.fixture
def box(new_onitu: Maker, dropbox_emulator: DropboxEmulator) -> Box:
    """Mounted."""
    made = Box(new_onitu(entries=()), dropbox_emulator)
    made.onitu.mount()
    return made
