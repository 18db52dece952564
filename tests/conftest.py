"""Fixtures for every suite."""

import signal
from collections.abc import Iterator

import pytest

from .volume.conftest import end_all

# What a shell starts in the background ignores SIGINT, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run under trio, as the daemon does."""
    return "trio"


@pytest.fixture(autouse=True)
def _all_lives_end() -> Iterator[None]:
    """Whoever made them."""
    yield
    end_all()
