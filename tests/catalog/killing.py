"""What a daemon that was killed, or a machine that lost power, leaves behind."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore


@contextmanager
def reopened(state: Path, *, boot_id: str = "this boot") -> Iterator[Catalog]:
    """Open a copy of the state as it is now: nothing in it was closed, and nobody holds its lock."""
    copy = state.with_name(state.name + "-later")
    while copy.exists():
        copy = copy.with_name(copy.name + "-later")
    shutil.copytree(state, copy)
    catalog = Catalog.open(copy / "catalog", ContentStore(copy / "content"), boot_id=boot_id)
    try:
        yield catalog
    finally:
        catalog.close()
