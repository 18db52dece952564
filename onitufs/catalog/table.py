"""The folded part of the catalog: one LMDB file, written only by folds, one synced transaction each."""

from collections.abc import Generator, Mapping
from pathlib import Path

import lmdb

from onitufs.model.errors import StateError

from . import keys
from .records import pack_value, unpack_value

SCHEMA = 1
"""Number of the stored form. Raise it when a release older than the change must not open the result."""
_MAP_BYTES = 256 << 30  # sparse: costs address space only, and is never resized
_SCHEMA_KEY = keys.meta("schema")
_FOLDED_KEY = keys.meta("folded_seq")


class Table:
    """Reads are from the loop, each in a transaction of its own that ends before the call returns (rule D9)."""

    def __init__(self, directory: Path) -> None:
        """Open or make it. Blocks. Raises StateError if it is damaged or of a newer schema."""
        try:
            self._env = lmdb.open(
                str(directory), map_size=_MAP_BYTES, mode=0o600, max_spare_txns=2, readahead=False, create=True
            )
        except lmdb.Error as exc:
            raise StateError(
                f"{directory}: cannot open the catalog ({exc}); restore it or use another --state"
            ) from exc
        schema = self.get(_SCHEMA_KEY)
        self._directory = directory
        self._is_new = schema is None
        found = SCHEMA if schema is None else unpack_value(schema)
        if found > SCHEMA:
            self._env.close()
            raise StateError(
                f"{directory}: has schema {found}, this OnituFS knows up to {SCHEMA}; use the newer version"
            )
        folded = self.get(_FOLDED_KEY)
        self.folded_seq: int = 0 if folded is None else unpack_value(folded)

    def check_not_lost(self, *, journal_in_use: bool) -> None:
        """Raises StateError if this file was just made, although a journal says that there has been one."""
        if self._is_new and journal_in_use:
            raise StateError(f"{self._directory}: data.mdb is gone, but its journal is there; restore it")

    def get(self, key: bytes) -> bytes | None:
        txn = self._env.begin()
        try:
            value: bytes | None = txn.get(key)
        finally:
            txn.abort()
        return value

    def walk(self, prefix: bytes, after: bytes) -> Generator[tuple[bytes, bytes], None, None]:
        """Pairs with this prefix and a key larger than `after`, in order. Close or exhaust it before any await."""
        txn = self._env.begin()
        try:
            cursor = txn.cursor()
            if not cursor.set_range(max(prefix, after)):
                return
            for key, value in cursor:
                if not key.startswith(prefix):
                    return
                if key > after:
                    yield key, value
        finally:
            txn.abort()

    def fold(self, changes: Mapping[bytes, bytes | None], folded_seq: int) -> None:
        """Write all of it and `folded_seq` in one synced transaction. Blocks. Raises OSError, nothing changed."""
        puts: list[tuple[bytes, bytes]] = []
        deletes: list[bytes] = []
        for key, value in sorted(changes.items()):
            if value is None:
                deletes.append(key)
            else:
                puts.append((key, value))
        try:
            with self._env.begin(write=True) as txn:
                for key in deletes:
                    txn.delete(key)
                txn.cursor().putmulti(puts)
                txn.put(_SCHEMA_KEY, pack_value(SCHEMA))
                txn.put(_FOLDED_KEY, pack_value(folded_seq))
        except lmdb.Error as exc:
            raise OSError(f"folding into the catalog failed: {exc}") from exc
        self.folded_seq = folded_seq

    def close(self) -> None:
        self._env.close()
