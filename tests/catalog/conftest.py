"""A state directory and a way to open it as the daemon does."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore

Opener = Callable[..., Catalog]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def opened(state: Path) -> Iterator[Opener]:
    """Open the catalog in `state`. What a test leaves open is closed."""
    catalogs: list[Catalog] = []

    def open_it(boot_id: str = "this boot") -> Catalog:
        catalog = Catalog.open(state / "catalog", ContentStore(state / "content"), boot_id=boot_id)
        catalogs.append(catalog)
        return catalog

    yield open_it
    for catalog in catalogs:
        catalog.close()


@pytest.fixture
def catalog(opened: Opener) -> Catalog:
    return opened()
