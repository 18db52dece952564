"""Fixtures for every suite."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run under trio, as the daemon does."""
    return "trio"
