"""The driver passes the suite that every driver of OnituFS has to pass."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from onitufs_sqlite import DRIVER
from onitufs_sqlite.options import SQLiteOptions

from onitufs.drivers.conformance.subject import Entry
from onitufs.drivers.conformance.suite import DriverConformance
from onitufs.drivers.handlers import PRIVATE, RemotePath


class Outside:
    """The database as another program uses it: with SQL."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=20.0)) as db, db:
            db.execute("PRAGMA synchronous = OFF")
            yield db

    def _at(self, db: sqlite3.Connection, path: RemotePath) -> int | None:
        found: int | None = 1
        for name in path:
            row = db.execute("SELECT id FROM object WHERE parent = ? AND name = ?", (found, name)).fetchone()
            found = row[0] if row is not None else None
        return found

    def _content(self, db: sqlite3.Connection, content: int) -> bytes:
        rows = db.execute("SELECT data FROM piece WHERE content = ? ORDER BY at", (content,))
        return b"".join(data for (data,) in rows)

    def read(self, path: RemotePath) -> bytes | None:
        with self._open() as db:
            row = db.execute("SELECT kind, content FROM object WHERE id = ?", (self._at(db, path),)).fetchone()
            return self._content(db, row[1]) if row is not None and row[0] == "FILE" else None

    def write(self, path: RemotePath, data: bytes) -> None:
        with self._open() as db:
            content = db.execute("INSERT INTO content (begun) VALUES (0)").lastrowid
            db.execute("INSERT INTO piece VALUES (?, 0, ?)", (content, data))
            there = self._at(db, path)
            if there is not None:
                db.execute("UPDATE object SET content = ?, size = ? WHERE id = ?", (content, len(data), there))
            else:
                db.execute(
                    "INSERT INTO object (parent, name, kind, content, size, mode, mtime_ns)"
                    " VALUES (?, ?, 'FILE', ?, ?, 420, 0)",
                    (self._at(db, path[:-1]), path[-1], content, len(data)),
                )

    def make_directory(self, path: RemotePath) -> None:
        with self._open() as db:
            db.execute(
                "INSERT INTO object (parent, name, kind, mode, mtime_ns) VALUES (?, ?, 'DIRECTORY', 493, 0)",
                (self._at(db, path[:-1]), path[-1]),
            )

    def names(self, path: RemotePath) -> set[bytes]:
        with self._open() as db:
            rows = db.execute("SELECT name FROM object WHERE parent = ?", (self._at(db, path),)).fetchall()
        return {name for (name,) in rows} - {PRIVATE}

    def move(self, path: RemotePath, to: RemotePath) -> None:
        with self._open() as db:
            values = (self._at(db, to[:-1]), to[-1], self._at(db, path))
            db.execute("UPDATE object SET parent = ?, name = ? WHERE id = ?", values)

    def remove(self, path: RemotePath) -> None:
        with self._open() as db:
            db.execute(
                "WITH RECURSIVE gone (id) AS (SELECT ? UNION SELECT o.id FROM object o JOIN gone ON o.parent = gone.id)"
                " DELETE FROM object WHERE id IN gone",
                (self._at(db, path),),
            )

    @contextmanager
    def broken(self) -> Iterator[None]:
        """The disk with the database is not there."""
        away = self._path.rename(self._path.with_suffix(".away"))
        yield
        away.rename(self._path)

    def trash(self) -> list[bytes]:
        with self._open() as db:
            return [self._content(db, content) for (content,) in db.execute("SELECT content FROM trash").fetchall()]


class TestSQLite(DriverConformance):
    def new_entry(self, directory: Path) -> Entry:
        database = directory / "archive.db"
        options = SQLiteOptions(database=database, trash_days=30)
        return Entry(driver=DRIVER, options=options, outside=Outside(database))
