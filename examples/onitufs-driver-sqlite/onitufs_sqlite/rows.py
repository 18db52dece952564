"""Rows of the database, in a transaction of the caller's."""

import sqlite3

from onitufs.drivers.handlers import Found, RemotePath
from onitufs.model.copies import RemoteState
from onitufs.model.errors import Conflict, Gone
from onitufs.model.files import Kind

Row = sqlite3.Row
Connection = sqlite3.Connection

ROOT = 1


def at(db: Connection, path: RemotePath) -> Row | None:
    """What stands at a path."""
    row: Row | None = db.execute("SELECT * FROM object WHERE id = ?", (ROOT,)).fetchone()
    for name in path:
        if row is None:
            return None
        row = db.execute("SELECT * FROM object WHERE parent = ? AND name = ?", (row["id"], name)).fetchone()
    return row


def parent(db: Connection, path: RemotePath) -> int:
    row = at(db, path[:-1])
    if row is None or row["kind"] != "DIRECTORY":
        raise Gone("there is no directory above")
    parent: int = row["id"]
    return parent


def insert(
    db: Connection,
    path: RemotePath,
    kind: Kind,
    *,
    mode: int,
    mtime_ns: int,
    content: int | None = None,
    size: int = 0,
    target: bytes = b"",
) -> RemoteState:
    made = db.execute(
        "INSERT INTO object (parent, name, kind, content, size, target, mode, mtime_ns)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (parent(db, path), path[-1], kind.name, content, size, target, mode, mtime_ns),
    )
    return state_now(db, made.lastrowid)


def file(db: Connection, path: RemotePath, rev: str) -> Row:
    row = at(db, path)
    if row is None:
        raise Gone("it is not there any more")
    verify(row, rev, Kind.FILE)
    return row


def verify(row: Row, rev: str, kind: Kind) -> None:
    if row["kind"] != kind.name or (rev_of(row) != rev and not (rev == "" and kind is Kind.DIRECTORY)):
        raise Conflict("it is another one, or was changed")


def below(db: Connection, row: Row) -> list[Row]:
    """What stands in a directory."""
    return db.execute("SELECT * FROM object WHERE parent = ?", (row["id"],)).fetchall()


def is_full(db: Connection, row: Row) -> bool:
    return db.execute("SELECT 1 FROM object WHERE parent = ?", (row["id"],)).fetchone() is not None


def held(db: Connection, token: str) -> int | None:
    """How many bytes of an upload are there; None: it is not known, or has its name."""
    upload = db.execute(
        "SELECT 1 FROM content WHERE id = :content AND NOT EXISTS"
        " (SELECT 1 FROM object WHERE content = :content UNION SELECT 1 FROM trash WHERE content = :content)",
        {"content": int(token)},
    )
    if upload.fetchone() is None:
        return None
    last = db.execute(
        "SELECT at + length(data) FROM piece WHERE content = ? ORDER BY at DESC", (int(token),)
    ).fetchone()
    return last[0] if last is not None else 0


def read(db: Connection, content: int, offset: int, length: int) -> bytes:
    """Some bytes of a content, whatever pieces they are in."""
    first = db.execute("SELECT max(at) FROM piece WHERE content = ? AND at <= ?", (content, offset)).fetchone()[0]
    found = []
    rows = db.execute(
        "SELECT at, data FROM piece WHERE content = ? AND at >= ? AND at < ? ORDER BY at",
        (content, first or 0, offset + length),
    )
    for at, data in rows:
        found.append(data[max(0, offset - at) : max(0, offset + length - at)])
    return b"".join(found)


def rev_of(row: Row) -> str:
    return f"{row['id']}.{row['version']}"


def state(row: Row) -> RemoteState:
    return RemoteState(rev=rev_of(row), remote_id=str(row["id"]))


def state_now(db: Connection, number: int | None) -> RemoteState:
    """As it is after a change; the trigger has given it another version."""
    return state(db.execute("SELECT * FROM object WHERE id = ?", (number,)).fetchone())


def found(row: Row) -> Found:
    return Found(
        kind=Kind[row["kind"]],
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        state=state(row),
        target=row["target"],
        mode=row["mode"],
    )


def forget(db: Connection, content: int) -> None:
    """Remove a content that nothing has."""
    db.execute(
        "DELETE FROM content WHERE id = :content AND NOT EXISTS"
        " (SELECT 1 FROM object WHERE content = :content UNION SELECT 1 FROM trash WHERE content = :content)",
        {"content": content},
    )
    db.execute("DELETE FROM piece WHERE content = ? AND content NOT IN (SELECT id FROM content)", (content,))
