"""Fixtures for every suite."""

from collections.abc import Iterator

import pytest

from .volume.conftest import end_all


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run under trio, as the daemon does."""
    return "trio"


@pytest.fixture(autouse=True)
def _all_lives_end() -> Iterator[None]:
    """Whoever made them."""
    yield
    end_all()
