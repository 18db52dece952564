"""A tree of files in an SQLite database: what the Plug of OnituFS asks for."""

import os
import sqlite3
from collections.abc import Awaitable, Callable

import trio

from onitufs.drivers.handlers import PARKED, PRIVATE, Found, Gear, RemotePath, Sighted, Upload
from onitufs.model.copies import RemoteState
from onitufs.model.errors import Conflict, Gone, NeedsPerson, ServiceError
from onitufs.model.files import Kind
from onitufs.model.source import Source

from . import rows
from .database import Database
from .options import SQLiteOptions

PIECE = 1 << 20
LOOK_S = 0.25
ABANDONED_S = 8 * 86400.0  # uploads: a day longer than the Plug remembers them


class SQLite:
    """Plain handlers: each runs in a thread of the entry's, and may block."""

    chunk_bytes = 8 * PIECE

    def __init__(self, options: SQLiteOptions, gear: Gear) -> None:
        self._options = options
        self._gear = gear
        self._opened: Database | None = None

    # -- coming and going ----------------------------------------------------------------------------------------------

    def connect(self) -> str:
        self._look_at_path()
        self._opened = Database(self._options.database)
        identity = self._opened.identity()
        self._same(identity)
        with self._opened.transaction() as db:
            for path in (PARKED[:1], PARKED):
                if rows.at(db, path) is None:
                    rows.insert(db, path, Kind.DIRECTORY, mode=0o700, mtime_ns=0)
        return identity

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def probe(self) -> None:
        self._look_at_path()
        if self._options.database.exists():
            database = Database(self._options.database)
            try:
                self._same(database.identity())
            finally:
                database.close()

    def _look_at_path(self) -> None:
        """Raises NeedsPerson where nothing may be made."""
        path = self._options.database
        if not path.exists() and self._gear.identity is not None:
            raise NeedsPerson(f"{path} is not there; is its disk mounted?")
        if not path.parent.is_dir():
            raise NeedsPerson(f"{path.parent} is not there; make it, or correct the option database")

    def _same(self, identity: str) -> None:
        if self._gear.identity not in (None, identity):
            raise NeedsPerson(f"{self._options.database} is another one; put back the database of this entry")

    @property
    def _database(self) -> Database:
        if self._opened is None:
            raise ServiceError("the database is not open")
        return self._opened

    def tend(self) -> bool:
        """Empty the trash of what is too old, and let go of content that nothing has."""
        now_s = self._gear.now_s()
        with self._database.transaction() as db:
            db.execute("DELETE FROM trash WHERE binned < ?", (now_s - self._options.trash_days * 86400.0,))
            db.execute(
                "DELETE FROM content WHERE begun < ? AND id NOT IN (SELECT content FROM object WHERE content NOT NULL)"
                " AND id NOT IN (SELECT content FROM trash WHERE content NOT NULL)",
                (now_s - ABANDONED_S,),
            )
            db.execute("DELETE FROM piece WHERE content NOT IN (SELECT id FROM content)")
        return False

    # -- looking -------------------------------------------------------------------------------------------------------

    def stat(self, path: RemotePath) -> Found | None:
        with self._database.reading() as db:
            row = rows.at(db, path)
        return None if row is None else rows.found(row)

    def list_directory(self, path: RemotePath) -> list[tuple[bytes, Found]]:
        with self._database.reading() as db:
            row = rows.at(db, path)
            if row is None or row["kind"] != "DIRECTORY":
                raise Gone("there is no such directory")
            found = rows.below(db, row)
        return [(row["name"], rows.found(row)) for row in found if path or row["name"] != PRIVATE]

    async def watch(self, cursor: str | None, tell: Callable[[Sighted], Awaitable[None]]) -> None:
        """SQLite says that another connection has changed something, but not what: all is to be looked at."""
        last = await self._gear.run(self._data_version)
        await tell(Sighted(below=((),)))
        while True:
            await trio.sleep(LOOK_S)
            version = await self._gear.run(self._data_version)
            if version != last:
                last = version
                await tell(Sighted(below=((),)))

    def _data_version(self) -> int:
        with self._database.reading() as db:
            version: int = db.execute("PRAGMA data_version").fetchone()[0]
        return version

    def get_chunk(self, path: RemotePath, rev: str, offset: int, length: int) -> bytes:
        with self._database.reading() as db:
            row = rows.file(db, path, rev)
            return rows.read(db, row["content"], offset, length)

    def get_file(self, path: RemotePath, rev: str, fd: int, tick: Callable[[int], None]) -> bytes:
        with self._database.reading() as db:
            size = rows.file(db, path, rev)["size"]
        tick(0)
        for offset in range(0, size, PIECE):
            data = self.get_chunk(path, rev, offset, PIECE)
            if os.pwrite(fd, data, offset) != len(data):
                raise OSError("a short write")
            tick(offset + len(data))
        return b""

    # -- placing -------------------------------------------------------------------------------------------------------

    def make_directory(self, path: RemotePath, mode: int) -> tuple[RemoteState, bool]:
        with self._database.transaction() as db:
            row = rows.at(db, path)
            if row is not None and row["kind"] != "DIRECTORY":
                raise Conflict("something else has the name of the directory")
            if row is not None:
                return rows.state(row), False
            return rows.insert(db, path, Kind.DIRECTORY, mode=mode, mtime_ns=0), True

    def upload_file(self, upload: Upload, source: Source) -> RemoteState:
        token = self.start_upload(upload)
        try:
            self.upload_chunk(token, source, 0, upload.size)
            return self.end_upload(token, upload, source)
        except BaseException:
            self.abort_upload(token)
            raise

    def start_upload(self, upload: Upload) -> str:
        with self._database.transaction() as db:
            rows.parent(db, upload.path)
            return str(db.execute("INSERT INTO content (begun) VALUES (?)", (self._gear.now_s(),)).lastrowid)

    def upload_chunk(self, token: str, source: Source, offset: int, length: int) -> int:
        """Each piece is safe on its own: a broken upload goes on after the last one."""
        for at in range(offset, offset + length, PIECE):
            data = source.read(at, min(PIECE, offset + length - at))
            with self._database.transaction() as db:
                if rows.held(db, token) is None:
                    raise Gone("the upload was removed")
                db.execute("INSERT OR REPLACE INTO piece VALUES (?, ?, ?)", (int(token), at, data))
        return offset + length

    def end_upload(self, token: str, upload: Upload, source: Source) -> RemoteState:
        with self._database.transaction() as db:
            there = rows.at(db, upload.path)
            if there is not None and there["content"] == int(token):
                return rows.state(there)  # it was done before
            held = rows.held(db, token)
            if held is None:
                raise Gone("the upload was removed")
            if held != upload.size:
                raise ServiceError(f"{held} bytes arrived where {upload.size} were sent")
            return self._place(db, upload.path, upload.base, Kind.FILE, int(token), held, b"", upload)

    def abort_upload(self, token: str) -> None:
        with self._database.transaction() as db:
            rows.forget(db, int(token))

    def restart_upload(self, token: str, upload: Upload) -> int | None:
        with self._database.reading() as db:
            return rows.held(db, token)

    def make_symlink(self, path: RemotePath, target: bytes, mtime_ns: int, base: str | None) -> RemoteState:
        link = Upload(path=path, size=0, mtime_ns=mtime_ns, mode=0o777, base=base)
        with self._database.transaction() as db:
            return self._place(db, path, base, Kind.SYMLINK, None, 0, target, link)

    def _place(
        self,
        db: sqlite3.Connection,
        path: RemotePath,
        base: str | None,
        kind: Kind,
        content: int | None,
        size: int,
        target: bytes,
        upload: Upload,
    ) -> RemoteState:
        """Give a content its name, in the place of the object with rev `base`, which goes to trash."""
        rows.parent(db, path)
        row = rows.at(db, path)
        if row is None:
            return rows.insert(
                db, path, kind, content=content, size=size, target=target, mode=upload.mode, mtime_ns=upload.mtime_ns
            )
        if row["kind"] == "DIRECTORY" or rows.rev_of(row) != base:
            raise Conflict("something else has the name of the file")
        self._bin(db, path, row)
        db.execute(
            "UPDATE object SET kind = ?, content = ?, size = ?, target = ?, mode = ?, mtime_ns = ? WHERE id = ?",
            (kind.name, content, size, target, upload.mode, upload.mtime_ns, row["id"]),
        )
        return rows.state_now(db, row["id"])

    def _bin(self, db: sqlite3.Connection, path: RemotePath, row: sqlite3.Row) -> None:
        if row["kind"] == "FILE":
            values = (b"/".join(path), row["content"], row["size"], self._gear.now_s())
            db.execute("INSERT INTO trash VALUES (?, ?, ?, ?)", values)

    # -- moving, removing, changing ------------------------------------------------------------------------------------

    def move_file(self, path: RemotePath, rev: str, kind: Kind, to: RemotePath, replaces: str | None) -> RemoteState:
        with self._database.transaction() as db:
            here, there = rows.at(db, path), rows.at(db, to)
            if here is None:
                if there is not None and rows.rev_of(there) == rev:
                    return rows.state(there)  # it was done before
                raise Gone("it is not there any more")
            rows.verify(here, rev, kind)
            parent = rows.parent(db, to)
            if there is not None and there["id"] != here["id"]:
                if replaces is None or replaces not in ("", rows.rev_of(there)) or rows.is_full(db, there):
                    raise Conflict("something else has the new name")
                self._bin(db, to, there)
                db.execute("DELETE FROM object WHERE id = ?", (there["id"],))
            db.execute("UPDATE object SET parent = ?, name = ? WHERE id = ?", (parent, to[-1], here["id"]))
            return rows.state_now(db, here["id"])

    def delete_file(self, path: RemotePath, rev: str) -> None:
        with self._database.transaction() as db:
            row = rows.at(db, path)
            if row is None:
                return
            if row["kind"] == "DIRECTORY" or rows.rev_of(row) != rev:
                raise Conflict("it is another one")
            self._bin(db, path, row)
            db.execute("DELETE FROM object WHERE id = ?", (row["id"],))

    def remove_directory(self, path: RemotePath, rev: str) -> bool:
        with self._database.transaction() as db:
            row = rows.at(db, path)
            if row is None:
                return True
            if row["kind"] != "DIRECTORY" or rev not in ("", rows.rev_of(row)) or rows.is_full(db, row):
                return False
            db.execute("DELETE FROM object WHERE id = ?", (row["id"],))
            return True

    def set_attributes(self, path: RemotePath, rev: str, kind: Kind, mode: int, mtime_ns: int) -> RemoteState:
        with self._database.transaction() as db:
            row = rows.at(db, path)
            if row is None:
                raise Gone("it is not there any more")
            rows.verify(row, rev, kind)
            db.execute("UPDATE object SET mode = ?, mtime_ns = ? WHERE id = ?", (mode, mtime_ns, row["id"]))
            return rows.state_now(db, row["id"])
