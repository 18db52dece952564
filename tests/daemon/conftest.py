"""Files that are on entries only, for who fetches them."""

from pathlib import Path

import pytest

from .far import FarAway


@pytest.fixture
def one(tmp_path: Path) -> FarAway:
    """On one entry."""
    return FarAway(tmp_path, ("a",))


@pytest.fixture
def two(tmp_path: Path) -> FarAway:
    """On two."""
    return FarAway(tmp_path, ("a", "b"))
