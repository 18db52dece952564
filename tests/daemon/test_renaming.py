"""An entry that got another name keeps what is known of it, and no other one loses anything."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from onitufs.catalog import keys
from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.daemon.renaming import rename_entry
from onitufs.model.copies import Copy, Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.volume.placements import Placements
from onitufs.volume.tree import Changes

OLD, NEW, OTHER = EntryName("b"), EntryName("c"), EntryName("a:b")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    content = ContentStore(tmp_path / "content")
    catalog = Catalog.open(tmp_path / "catalog", content)
    yield catalog
    catalog.close()
    content.close()


def test_all_that_is_known_by_the_old_name_is_known_by_the_new_one(catalog: Catalog) -> None:
    placements = Placements(catalog)
    changes: Changes = {keys.meta(f"entry:{name}"): name.encode() for name in (OLD, OTHER)}
    copies = [
        Copy(
            file=FileId(7), entry=name, kind=Kind.FILE, place=Place(ROOT_FILE, b"f"), generation=GenerationId(9),
            size=1, mtime_ns=1, mode=0o644, rev="r", remote_id="i",
        )
        for name in (OLD, OTHER)
    ]  # fmt: skip
    placements.write(changes, put=copies)
    catalog.commit(changes)
    trio.run(rename_entry, catalog, placements, OLD, NEW)
    assert set(placements.of(FileId(7))) == {NEW, OTHER}
    assert placements.at(OLD, Place(ROOT_FILE, b"f")) is None
    assert placements.known_as(NEW, "i") is not None
    assert placements.at(NEW, Place(ROOT_FILE, b"f")) is not None
    assert placements.known_as(OLD, "i") is None
    assert catalog.get(keys.meta(f"entry:{NEW}")) == b"b"
    assert catalog.get(keys.meta(f"entry:{OLD}")) is None
    assert catalog.get(keys.meta(f"entry:{OTHER}")) == OTHER.encode()
