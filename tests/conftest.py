"""Fixtures for every suite."""

import os
import signal
from collections.abc import Iterator

import pytest

from .volume.conftest import end_all

# What a shell starts in the background ignores SIGINT, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests come first, or one that is begun last would hold up the end of the run.

    Of `pytest -n N --dist worksteal` each process is given one of N equal parts of the list, in its order: each part
    begins with its share of the long ones.
    """
    long = [(marker.args[0], item) for item in items if (marker := item.get_closest_marker("long")) is not None]
    long.sort(key=lambda of: -of[0])  # stable, so all processes agree
    first = [item for _, item in long]
    rest = [item for item in items if item.get_closest_marker("long") is None]
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    left = len(items)
    items.clear()
    for process in range(processes):
        begins = first[process::processes]
        room = max(0, left // (processes - process) - len(begins))
        items += [*begins, *rest[:room]]
        del rest[:room]
        left -= len(begins) + room
    items += rest


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run under trio, as the daemon does."""
    return "trio"


@pytest.fixture(autouse=True)
def _all_lives_end() -> Iterator[None]:
    """Whoever made them."""
    yield
    end_all()
