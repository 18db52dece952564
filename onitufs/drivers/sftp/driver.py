"""The handlers of sftp."""

import os
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from onitufs.drivers.handlers import Found, Gear, RemotePath, Sighted, Upload
from onitufs.model.copies import RemoteState
from onitufs.model.errors import Conflict, DriverError, Gone, NeedsPerson, ServiceError
from onitufs.model.files import Kind
from onitufs.model.source import Source

from .answering import answering, space
from .batching import Batcher
from .chunks import CHUNK_BYTES, ChunkedUploads
from .connecting import Connector
from .listing import Lister
from .options import SftpOptions
from .packets import Attributes, Code, Type, settable, text
from .placed import Placed
from .placing import Placer
from .pool import Lane, Pool
from .reading import Reader
from .remote import Remote, look
from .states import expected, is_directory, rev_of, state_of
from .sweeping_up import sweep_up
from .trash import Trash
from .wire import Refused, Wire


class Sftp:
    """A directory on a server. Repeating any handler is safe. Every handler is for any thread."""

    chunk_bytes = CHUNK_BYTES

    def __init__(self, options: SftpOptions, gear: Gear) -> None:
        self._options = options
        self._gear = gear
        self._pool = Pool(Connector(options, gear.work_dir, gear.entry).connect)
        self._opened: Remote | None = None
        self._trash: Trash
        self._placer: Placer
        self._lister: Lister
        self._reader: Reader
        self._batcher: Batcher
        self._chunks: ChunkedUploads

    # -- life ---------------------------------------------------------------------------------------------------------

    def connect(self) -> str:
        where = self._where()
        with answering(where), self._pool.wire(Lane.NAMES) as wire:
            root = self._find_root(wire, create=self._gear.identity is None)
            remote = Remote(self._pool, root, where, self._owner(), self._gear.check_cancelled)
            found = remote.read_mark(wire)
            remote.verify(found, self._gear.identity)
            remote.make_own_directories(wire)
            remote.identity = found or str(uuid.uuid4())
            if found is None:
                remote.make_mark(wire, remote.identity)
            remote.ahead_s = sweep_up(remote, wire, time.time())
        self._trash = Trash(remote, self._options.trash_days, self._gear.now_s)
        self._placer = Placer(remote, self._trash)
        self._batcher = Batcher(remote, self._placer, self._trash)
        self._chunks = ChunkedUploads(remote, self._placer, self._gear.work_dir / "synced")
        self._lister = Lister(remote, lambda: time.time() + remote.ahead_s)
        self._reader = Reader(remote)
        try:
            self._placed = Placed(self._gear.work_dir / "placed")
        except OSError as exc:
            raise ServiceError(f"{self._gear.work_dir} cannot be used: {exc.strerror}") from exc
        self._opened = remote
        return remote.identity

    def close(self) -> None:
        self._pool.close()
        if self._opened is not None:
            self._placed.close()

    def probe(self) -> None:
        where = self._where()
        expected = self._gear.identity
        with answering(where), self._pool.wire(Lane.NAMES) as wire:
            try:
                root = self._find_root(wire, create=False)
            except Gone:
                if expected is not None:
                    raise NeedsPerson(f"{where} is not there; is its disk mounted on the server?") from None
                return
            remote = Remote(self._pool, root, where, self._owner(), self._gear.check_cancelled)
            remote.verify(remote.read_mark(wire), expected)

    def _where(self) -> str:
        user = f"{self._options.user}@" if self._options.user else ""
        return f"{user}{self._options.host}:{self._options.root}"

    def _owner(self) -> bytes:
        """Begins the names of our temporary files: a text that this entry keeps on this machine."""
        directory = self._gear.work_dir
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = directory / "owner"
            if not file.exists():
                file.write_text(uuid.uuid4().hex[:12])
            return file.read_text().strip().encode()
        except OSError as exc:
            raise ServiceError(f"{directory} cannot be used: {exc.strerror}") from exc

    def _find_root(self, wire: Wire, *, create: bool) -> bytes:
        """The root's whole path on the server. Raises Gone if it is to be made, NeedsPerson if it cannot be."""
        where = self._where()
        given = os.fsencode(self._options.root)
        wanted = given if given.startswith(b"/") else wire.name(wire.realpath(b".")).rstrip(b"/") + b"/" + given
        try:
            found = wire.attributes(wire.ask(Type.STAT, text(wanted)))
        except Refused as exc:
            if exc.code != Code.NO_SUCH_FILE:
                raise
            if self._gear.identity is not None and create:
                raise NeedsPerson(f"{where} is not there; is its disk mounted on the server?") from exc
            if not self._options.create:
                raise NeedsPerson(f"{where} is not there; make it, or set the option create") from exc
            above = wanted.rstrip(b"/").rpartition(b"/")[0] or b"/"
            if wire.found(wire.ask(Type.STAT, text(above))) is None:
                raise NeedsPerson(f"{where}: the directory above is not there; make it, or correct the root") from exc
            if not create:
                raise Gone(where) from exc
            wire.done(wire.mkdir(wanted, 0o755))
            found = wire.attributes(wire.ask(Type.STAT, text(wanted)))
        if not is_directory(found):
            raise NeedsPerson(f"{where} is not a directory; correct the root")
        return wire.name(wire.realpath(wanted)).rstrip(b"/")

    def _remote(self) -> Remote:
        if self._opened is None:
            raise ServiceError(f"{self._where()} is not connected")
        return self._opened

    def tend(self) -> bool:
        with self._remote().wire(Lane.NAMES) as wire:
            return self._trash.clean(wire)

    def free_space(self) -> tuple[int, int | None]:
        remote = self._remote()
        with remote.wire(Lane.NAMES) as wire:
            found = space(wire, remote.path(()))
        if found is None:
            raise ServiceError(f"{remote.where}: the server does not say how much is free")
        return found

    # -- looking ------------------------------------------------------------------------------------------------------

    def stat(self, path: RemotePath) -> Found | None:
        self._remote()
        return self._lister.stat(path)

    def stat_many(self, paths: Sequence[RemotePath]) -> list[Found | DriverError | None]:
        self._remote()
        return self._lister.stat_many(paths)

    def list_directory(self, path: RemotePath) -> list[tuple[bytes, Found]]:
        self._remote()
        return self._lister.names(path)

    def get_chunk(self, path: RemotePath, rev: str, offset: int, length: int) -> bytes:
        self._remote()
        return self._reader.chunk(path, rev, offset, length)

    def read_many(self, wanted: Sequence[tuple[RemotePath, str]]) -> list[bytes | DriverError]:
        self._remote()
        return self._reader.many(wanted)

    def get_file(self, path: RemotePath, rev: str, fd: int, tick: Callable[[int], None]) -> bytes:
        self._remote()
        return self._reader.copy(path, rev, fd, tick)

    async def watch(self, cursor: str | None, tell: Callable[[Sighted], Awaitable[None]]) -> None:
        from .watching import Watcher

        await Watcher(self._remote(), self._gear, self._placed, self._options.watch).run(cursor, tell)

    # -- placing ------------------------------------------------------------------------------------------------------

    def make_directory(self, path: RemotePath, mode: int) -> tuple[RemoteState, bool]:
        made = self._make_directory(path, mode)
        self._placed.note([path])
        return made

    def _make_directory(self, path: RemotePath, mode: int) -> tuple[RemoteState, bool]:
        remote = self._remote()
        with remote.wire(Lane.NAMES, path) as wire:
            looked = look(remote, wire, path)
            looked.need_directory(path)
            there = looked.there(path)
            made = False
            if there is None:
                target = remote.path(path)
                mode |= 0o700  # we must be able to place what belongs in it
                asked = wire.mkdir(target, mode)
                also = wire.ask(Type.SETSTAT, text(target), settable(mode=mode))  # the server may mask what MKDIR says
                seen = wire.lstat(target)
                refused: Refused | None = None
                try:
                    wire.done(asked)
                    made = True
                except Refused as exc:
                    refused = exc
                with suppress(Refused):
                    wire.done(also)
                there = wire.found(seen)
                if there is None:
                    raise refused or Gone(f"{remote.shown(path)} went away at once")
            if not is_directory(there):
                raise Conflict(f"{remote.shown(path)} is not a directory")
            return state_of(there), made

    def upload_file(self, upload: Upload, source: Source) -> RemoteState:
        self._remote()
        state = self._placer.upload(upload, source)
        self._placed.note([upload.path])
        return state

    def upload_batch(self, uploads: Sequence[tuple[Upload, Source]]) -> list[RemoteState | DriverError]:
        self._remote()
        states = self._batcher.upload(uploads)
        self._placed.note(upload.path for upload, _ in uploads)
        return states

    def start_upload(self, upload: Upload) -> str:
        self._remote()
        return self._chunks.start(upload)

    def upload_chunk(self, token: str, source: Source, offset: int, length: int) -> int:
        self._remote()
        return self._chunks.send(token, source, offset, length)

    def end_upload(self, token: str, upload: Upload, source: Source) -> RemoteState:
        self._remote()
        state = self._chunks.end(token, upload, source)
        self._placed.note([upload.path])
        return state

    def abort_upload(self, token: str) -> None:
        self._remote()
        self._chunks.abort(token)

    def restart_upload(self, token: str, upload: Upload) -> int | None:
        del upload
        self._remote()
        return self._chunks.restart(token)

    def make_symlink(self, path: RemotePath, target: bytes, mtime_ns: int, base: str | None) -> RemoteState:
        self._remote()
        state = self._placer.symlink(path, target, mtime_ns, base)
        self._placed.note([path])
        return state

    # -- moving and removing ------------------------------------------------------------------------------------------

    def move_file(self, path: RemotePath, rev: str, kind: Kind, to: RemotePath, replaces: str | None) -> RemoteState:
        state = self._move(path, rev, kind, to, replaces)
        self._placed.note([to])
        return state

    def _move(self, path: RemotePath, rev: str, kind: Kind, to: RemotePath, replaces: str | None) -> RemoteState:
        remote = self._remote()
        with remote.wire(Lane.NAMES, path) as wire:
            looked = look(remote, wire, path, to)
            here, there = looked.there(path), looked.there(to)
            if here is None:
                if there is not None and expected(there, rev, kind):
                    return state_of(there)
                raise Gone(f"{remote.shown(path)} is not there")
            if not expected(here, rev, kind):
                raise Conflict(f"{remote.shown(path)} is not what was placed there")
            if path == to:
                return state_of(here)
            looked.need_directory(to)
            source, target = remote.path(path), remote.path(to)
            if there is None:
                remote.rename_new(wire, source, target, to)
            elif replaces is None or replaces not in ("", rev_of(there)):
                raise Conflict(f"{remote.shown(to)} is not what was placed there")
            elif is_directory(there):
                if not self._rmdir(wire, to):
                    raise Conflict(f"{remote.shown(to)} is not empty")
                remote.rename_new(wire, source, target, to)
            else:
                self._placer.replace(wire, source, to, there)
            moved = wire.found(wire.lstat(target))
            if moved is None or not expected(moved, rev_of(here), kind):
                raise Conflict(f"{remote.shown(to)} was changed at once")
            return state_of(moved)

    def delete_file(self, path: RemotePath, rev: str) -> None:
        remote = self._remote()
        with remote.wire(Lane.NAMES, path) as wire:
            here = look(remote, wire, path).there(path)
            if here is None:
                return
            if is_directory(here) or rev_of(here) != rev:
                raise Conflict(f"{remote.shown(path)} is not what was placed there")
            self._placer.take_out(wire, path, here)

    def remove_directory(self, path: RemotePath, rev: str) -> bool:
        remote = self._remote()
        with remote.wire(Lane.NAMES, path) as wire:
            here = look(remote, wire, path).there(path)
            if here is None:
                return True
            if not expected(here, rev, Kind.DIRECTORY):
                return False
            return self._rmdir(wire, path)

    def _rmdir(self, wire: Wire, path: RemotePath) -> bool:
        """Remove an empty directory. False: it is not empty. Raises Refused."""
        remote = self._remote()
        try:
            wire.done(wire.ask(Type.RMDIR, text(remote.path(path))))
        except Refused as exc:
            if exc.code == Code.NO_SUCH_FILE:
                return True
            if exc.code == Code.PERMISSION_DENIED:
                raise
            return False
        return True

    def set_attributes(self, path: RemotePath, rev: str, kind: Kind, mode: int, mtime_ns: int) -> RemoteState:
        remote = self._remote()
        with remote.wire(Lane.NAMES, path) as wire:
            here = look(remote, wire, path).there(path)
            if here is None:
                raise Gone(f"{remote.shown(path)} is not there")
            if not expected(here, rev, kind):
                raise Conflict(f"{remote.shown(path)} is not what was placed there")
            state = state_of(self._set(wire, remote.path(path), kind, mode, mtime_ns, here))
        self._placed.note([path])
        return state

    @staticmethod
    def _set(wire: Wire, target: bytes, kind: Kind, mode: int, mtime_ns: int, here: Attributes) -> Attributes:
        """Set what the server lets us set, and never by way of a symbolic link; what the object has then."""
        if kind is Kind.DIRECTORY:
            mode |= 0o700
        attributes = settable(None if kind is Kind.SYMLINK else mode, mtime_ns)
        done = False
        if wire.offer(b"lsetstat@openssh.com"):
            with suppress(Refused):
                wire.done(wire.extended(b"lsetstat@openssh.com", text(target), attributes))
                done = True
        if not done and kind is not Kind.SYMLINK:
            wire.done(wire.ask(Type.SETSTAT, text(target), attributes))
        return wire.found(wire.lstat(target)) or here
