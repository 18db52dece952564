"""The database: its tables, its transactions, and its errors in the words of OnituFS."""

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onitufs.model.errors import NeedsPerson, QuotaFull, ServiceError

PATIENCE_S = 20.0
"""How long another program may keep the database locked."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS place (identity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS content (id INTEGER PRIMARY KEY AUTOINCREMENT, begun REAL NOT NULL);
CREATE TABLE IF NOT EXISTS piece (
    content INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (content, at)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object (
    id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL, name BLOB NOT NULL, kind TEXT NOT NULL,
    content INTEGER, size INTEGER NOT NULL DEFAULT 0, target BLOB NOT NULL DEFAULT x'', mode INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, version INTEGER NOT NULL DEFAULT 1, UNIQUE (parent, name)
);
CREATE INDEX IF NOT EXISTS named ON object (content);
CREATE TABLE IF NOT EXISTS trash (path BLOB NOT NULL, content INTEGER, size INTEGER NOT NULL, binned REAL NOT NULL);
CREATE TRIGGER IF NOT EXISTS edited AFTER UPDATE OF kind, content, target, mode, mtime_ns ON object BEGIN
    UPDATE object SET version = version + 1 WHERE id = NEW.id;
END;
INSERT INTO object (id, parent, name, kind, mode, mtime_ns)
    SELECT 1, 0, x'', 'DIRECTORY', 493, 0 WHERE NOT EXISTS (SELECT 1 FROM object);
"""
"""The trigger sees to it that an object's version changes whoever changes it. Content never changes: it is replaced."""


class Database:
    """One open database; used in several threads, by one at a time. Raises the errors that a driver may raise."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._answering():
            self._db = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            try:
                self._file = os.stat(path)
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.executescript("BEGIN IMMEDIATE;" + SCHEMA + "COMMIT;")
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def identity(self) -> str:
        """The database's own; made at the first call."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO place SELECT ? WHERE NOT EXISTS (SELECT 1 FROM place)",
                (f"sqlite:{secrets.token_hex(16)}",),
            )
            identity: str = db.execute("SELECT identity FROM place").fetchone()[0]
            return identity

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is done inside is done wholly or not at all, and is on disk afterwards."""
        with self._lock, self._answering():
            self._check()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What is read inside is of one moment."""
        with self._lock, self._answering():
            self._check()
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("COMMIT")

    def _check(self) -> None:
        """What was connected still is what stands there: what is not found is absent only then."""
        found = os.stat(self._path)
        if (found.st_dev, found.st_ino) != (self._file.st_dev, self._file.st_ino):
            raise ServiceError(f"{self._path} was replaced; it is opened again by itself")

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise ServiceError(f"{self._path}: {exc.strerror}; is its disk still there?") from exc
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise QuotaFull(f"the disk of {self._path} is full; make room on it") from exc
            raise ServiceError(f"{self._path}: {exc}") from exc
        except sqlite3.DatabaseError as exc:
            raise NeedsPerson(f"{self._path}: {exc}; put back the database of this entry") from exc
