"""What was seen on the server when it was last looked through: on disk, so that a restart need not begin anew.

A SQLite file of one entry. Losing it costs one look through everything.
"""

import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgpack

from onitufs.drivers.handlers import RemotePath

AGAIN = -1
"""In place of a directory's time: list it again, whatever its time is by then."""
UNSETTLED = 0
"""In place of what was seen of a name: it was changed just then."""
_VERSION = 1
_MOST_CHANGES = 50_000

Seen = dict[bytes, int]
"""For each name in a directory a number that stands for all the server said of it."""


def _key(path: RemotePath) -> bytes:
    return b"/".join(path)


def _path(key: bytes) -> RemotePath:
    return tuple(key.split(b"/")) if key else ()


class SeenStore:
    """For one thread at a time. Everything since the last `commit` is one transaction.

    A cursor is a text: which store, and how much had been told.
    """

    def __init__(self, file: Path, identity: str) -> None:
        """Raises OSError, sqlite3.Error."""
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._open(file, identity)
        except sqlite3.DatabaseError:  # damaged
            for each in (file, file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm")):
                each.unlink(missing_ok=True)
            self._open(file, identity)

    def _open(self, file: Path, identity: str) -> None:
        self._db = db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        file.chmod(0o600)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last of it: then that is found again
        db.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID")
        db.execute(
            "CREATE TABLE IF NOT EXISTS directories (path BLOB PRIMARY KEY, mtime INTEGER, names BLOB) WITHOUT ROWID"
        )
        db.execute("CREATE TABLE IF NOT EXISTS changes (number INTEGER PRIMARY KEY, path BLOB, below INTEGER)")
        db.execute("BEGIN")
        if (self._fact("version"), self._fact("identity")) != (_VERSION, identity):
            for table in ("facts", "directories", "changes"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608  a fixed name
            facts = {"version": _VERSION, "identity": identity, "store": uuid.uuid4().hex, "number": 0, "forgotten": 0}
            db.executemany("INSERT INTO facts VALUES (?, ?)", list(facts.items()))
        self.commit()

    def _fact(self, name: str) -> object:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        self._db.close()

    def commit(self) -> None:
        self._db.execute("COMMIT")
        self._db.execute("BEGIN")

    def undo(self) -> None:
        """Forget what was not committed."""
        self._db.execute("ROLLBACK")
        self._db.execute("BEGIN")

    # -- directories --------------------------------------------------------------------------------------------------

    def times(self) -> list[tuple[RemotePath, int]]:
        """Every directory with its time when it was listed, or AGAIN."""
        return [(_path(key), mtime) for key, mtime in self._db.execute("SELECT path, mtime FROM directories")]

    def get(self, path: RemotePath) -> Seen | None:
        """The names in a directory; None if it was never listed."""
        row = self._db.execute("SELECT names FROM directories WHERE path = ?", (_key(path),)).fetchone()
        return None if row is None else msgpack.unpackb(row[0], strict_map_key=False, raw=True)

    def put(self, path: RemotePath, mtime_s: int, names: Seen | None) -> None:
        """`names` None: as they were."""
        if names is None:
            self._db.execute("UPDATE directories SET mtime = ? WHERE path = ?", (mtime_s, _key(path)))
        else:
            row = (_key(path), mtime_s, msgpack.packb(names))
            self._db.execute("INSERT OR REPLACE INTO directories VALUES (?, ?, ?)", row)

    def drop(self, path: RemotePath) -> None:
        """Forget a directory and all below it."""
        key = _key(path)
        self._db.execute("DELETE FROM directories WHERE path = ?", (key,))
        self._db.execute("DELETE FROM directories WHERE path > ? AND path < ?", (key + b"/", key + b"0"))

    # -- what is told -------------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> str:
        return f"{self._fact('store')}:{self._fact('number')}"

    def note(self, paths: list[RemotePath], below: list[RemotePath]) -> None:
        """What is going to be told."""
        rows = [(_key(path), 0) for path in paths] + [(_key(path), 1) for path in below]
        number = self._number()
        self._db.executemany(
            "INSERT INTO changes VALUES (?, ?, ?)", [(number + at, *row) for at, row in enumerate(rows, 1)]
        )
        number += len(rows)
        self._db.execute("UPDATE facts SET value = ? WHERE name = 'number'", (number,))
        if number > _MOST_CHANGES:
            self._db.execute("DELETE FROM changes WHERE number <= ?", (number - _MOST_CHANGES,))
            self._db.execute("UPDATE facts SET value = ? WHERE name = 'forgotten'", (number - _MOST_CHANGES,))

    def _number(self) -> int:
        return int(str(self._fact("number")))

    def since(self, cursor: str | None) -> tuple[list[RemotePath], list[RemotePath]] | None:
        """Paths, and directories to list, that were noted after a cursor; None if that is not known any more."""
        if cursor is None:
            return None
        store, _, number = cursor.partition(":")
        if store != self._fact("store") or not number.isdigit() or int(number) < int(str(self._fact("forgotten"))):
            return None
        return self._changes(int(number))

    def _changes(self, after: int) -> tuple[list[RemotePath], list[RemotePath]]:
        paths: dict[RemotePath, None] = {}
        below: dict[RemotePath, None] = {}
        for key, is_below in self._rows(after):
            (below if is_below else paths)[_path(key)] = None
        return list(paths), list(below)

    def _rows(self, after: int) -> Iterator[tuple[bytes, int]]:
        yield from self._db.execute("SELECT path, below FROM changes WHERE number > ? ORDER BY number", (after,))
