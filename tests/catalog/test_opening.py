"""Who may open a state directory, and what is said to those who may not."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from onitufs.catalog import keys, table
from onitufs.catalog.records import pack_value
from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.model.errors import AlreadyRunning, StateError
from onitufs.model.ids import FIRST_FREE

from .conftest import Opener

HOLD = """
import sys
from pathlib import Path
from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
state = Path(sys.argv[1])
catalog = Catalog.open(state / "catalog", ContentStore(state / "content"))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_daemon_is_told_who_is_there(state: Path, opened: Opener) -> None:
    """And once that one is gone, however it went, nothing stands in the way."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(AlreadyRunning, match=f"process {other.pid}"):
            opened()
        other.kill()
    opened()


def test_the_lock_is_released_when_a_start_fails(state: Path, monkeypatch: pytest.MonkeyPatch, opened: Opener) -> None:
    with monkeypatch.context() as patched:

        def fails(*args: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(table.Table, "fold", fails)
        with pytest.raises(OSError, match="No space"):
            opened()
    opened()


def test_a_newer_schema_is_refused_by_both_numbers(state: Path, opened: Opener) -> None:
    catalog = opened()
    catalog.commit({keys.meta("schema"): pack_value(table.SCHEMA + 6)})
    catalog.close()
    newer = table.Table(state / "catalog")
    with newer._env.begin(write=True) as txn:
        txn.put(keys.meta("schema"), pack_value(table.SCHEMA + 6))
    newer.close()
    with pytest.raises(StateError, match=rf"schema {table.SCHEMA + 6}.* {table.SCHEMA}"):
        opened()


def test_a_damaged_store_is_a_state_error(state: Path, opened: Opener) -> None:
    opened().close()
    (state / "catalog" / "data.mdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(StateError, match="cannot open the catalog"):
        opened()


def test_a_journal_without_its_store_is_a_state_error(state: Path, opened: Opener) -> None:
    """Somebody removed data.mdb: to begin with an empty tree would look like a deletion of everything."""
    opened().close()
    (state / "catalog" / "data.mdb").unlink()
    with pytest.raises(StateError, match="gone"):
        opened()


def test_nobody_else_can_look_in(state: Path, opened: Opener) -> None:
    old = os.umask(0)
    try:
        content = ContentStore(state / "content")
        with open(content.create(17), "wb"):  # type: ignore[arg-type]
            pass
        content.close()
        opened()
    finally:
        os.umask(old)
    for path in (state / "catalog", *(state / "catalog").rglob("*"), *(state / "content").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_new_store_begins_at_the_first_free_number(opened: Opener) -> None:
    assert opened().next_seq == FIRST_FREE


def test_close_may_be_called_twice(opened: Opener) -> None:
    catalog = opened()
    catalog.commit({keys.meta("key"): b"1"})
    catalog.close()
    catalog.close()
    assert opened().get(keys.meta("key")) == b"1"


def test_what_was_closed_is_there_after_a_power_cut(opened: Opener) -> None:
    catalog = opened()
    catalog.commit({keys.meta("key"): b"1"})
    catalog.close()
    again: Catalog = opened("another boot")
    assert again.get(keys.meta("key")) == b"1"
    assert not again.lost_to_power_cut
