"""Large files, sent in chunks that are synced on the server one by one: a broken upload goes on where it was."""

import secrets
import time
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from onitufs.drivers.handlers import Upload
from onitufs.model.copies import RemoteState
from onitufs.model.digests import digest_of
from onitufs.model.errors import Conflict, Gone, QuotaFull, ServiceError
from onitufs.model.source import Source

from . import packets
from .answering import after_failed_write, space
from .packets import Code, seconds
from .placing import Placer
from .pool import Lane
from .remote import TMP, Remote, look
from .states import is_directory, rev_of, state_of
from .streams import send
from .sweeping_up import KEPT, KEPT_S
from .wire import SYNC_S, Refused, Wire

CHUNK_BYTES = 64 << 20
_EARLY_BYTES = 16 << 20


class ChunkedUploads:
    """As UploadsInChunks says; blocking calls, for any thread. A token is the name of a temporary file.

    `directory`: on this machine; for each token a file that says how much the server has synced. The size of the
    temporary file alone proves nothing: what was written and not synced may be lost with the server.
    """

    def __init__(self, remote: Remote, placer: Placer, directory: Path) -> None:
        self._remote = remote
        self._placer = placer
        self._directory = directory
        self._hashed: dict[str, tuple[int, blake3]] = {}
        with suppress(OSError):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in directory.iterdir():
                if file.stat().st_mtime < time.time() - KEPT_S:
                    file.unlink()

    def start(self, upload: Upload) -> str:
        remote, path = self._remote, upload.path
        with remote.wire(Lane.BYTES, path) as wire:
            looked = look(remote, wire, path)
            looked.need_directory(path)
            there = looked.there(path)
            if there is not None and (upload.base != rev_of(there) or is_directory(there)):
                raise Conflict(f"{remote.shown(path)} is not what was placed there")
            free = space(wire, remote.path(()))
            if free is not None and free[0] < upload.size:
                what = f"{remote.shown(path)}: {upload.size} bytes do not fit, {free[0]} are free"
                raise QuotaFull(f"{what}; free space on the server")
            token = (remote.owner + b"-" + KEPT + secrets.token_hex(8).encode()).decode()
            wire.done(wire.close_handle(self._placer.open_new(wire, self._temp(token), path)))
        self._note(token, 0)
        self._hashed[token] = 0, blake3()
        return token

    def send(self, token: str, source: Source, offset: int, length: int) -> int:
        remote = self._remote
        hashed, hasher = self._hashed.pop(token, (-1, blake3()))
        with remote.wires(Lane.BYTES, 2) as wires:
            wire = wires[0]
            handle = self._open(wire, token)
            if wire.attributes(wire.fstat(handle)).size < offset:
                raise Gone(f"{remote.where}: the server has lost a part of an upload")
            early = _EarlySync(wires[1], self._open(wires[1], token)) if len(wires) > 1 else None

            def seen(data: bytes) -> None:
                hasher.update(data)
                if early is not None:
                    early.wrote(len(data))

            try:
                send(wire, handle, source, offset, length, seen)
                if early is not None:
                    early.end()
                self._sync(wire, handle)
            except Refused as exc:
                raise after_failed_write(wire, exc, remote.root, remote.where, ()) from exc
            wire.done(wire.close_handle(handle))
        self._note(token, offset + length)
        if hashed == offset:
            self._hashed[token] = offset + length, hasher
        return offset + length

    @staticmethod
    def _sync(wire: Wire, handle: bytes) -> None:
        if (synced := wire.fsync(handle)) is not None:
            wire.patience(SYNC_S)
            wire.done(synced)
            wire.patience()

    def end(self, token: str, upload: Upload, source: Source) -> RemoteState:
        remote, path = self._remote, upload.path
        with remote.wire(Lane.BYTES, path) as wire:
            try:
                handle = self._open(wire, token)
            except Gone:
                there = look(remote, wire, path).there(path)
                wanted = upload.size, seconds(upload.mtime_ns)
                if self._noted(token) == upload.size and there is not None and (there.size, there.mtime_s) == wanted:
                    self._forget(token)
                    return state_of(there)  # it was done before
                raise
            found = wire.attributes(wire.fstat(handle))
            if found.size != upload.size or self._noted(token) != upload.size:
                wire.done(wire.close_handle(handle))
                self._remove(wire, token)
                raise ServiceError(f"{remote.shown(path)}: {found.size} bytes arrived where {upload.size} were sent")
            hashed, hasher = self._hashed.get(token, (-1, blake3()))
            digest = hasher.digest() if hashed == upload.size else digest_of(source.read)
            state = self._placer.finish(wire, handle, self._temp(token), upload, digest)
        self._forget(token)
        return state

    def abort(self, token: str) -> None:
        with self._remote.wire(Lane.NAMES) as wire:
            self._remove(wire, token)

    def restart(self, token: str) -> int | None:
        with self._remote.wire(Lane.NAMES) as wire:
            look(self._remote, wire)
            found = wire.found(wire.lstat(self._temp(token)))
        synced = self._noted(token)
        if found is None or synced is None:
            return None
        return min(synced, found.size)

    # -- parts --------------------------------------------------------------------------------------------------------

    def _temp(self, token: str) -> bytes:
        if not token.startswith((self._remote.owner + b"-" + KEPT).decode()) or "/" in token:
            raise Gone(f"{self._remote.where}: an upload that another installation began")
        return self._remote.path((*TMP, token.encode()))

    def _open(self, wire: Wire, token: str) -> bytes:
        try:
            return wire.handle(wire.open(self._temp(token), packets.WRITE))
        except Refused as exc:
            look(self._remote, wire)
            if exc.code == Code.NO_SUCH_FILE:
                raise Gone(f"{self._remote.where}: the server does not have the upload any more") from exc
            raise

    def _remove(self, wire: Wire, token: str) -> None:
        try:
            wire.done(wire.remove(self._temp(token)))
        except Gone:
            pass
        except Refused as exc:
            if exc.code != Code.NO_SUCH_FILE:
                raise
        self._forget(token)

    def _note(self, token: str, synced: int) -> None:
        """Write down how much is safe. Lost, it costs that the upload begins anew."""
        new = self._directory / (token + ".new")
        with suppress(OSError):
            new.write_text(str(synced))
            new.rename(self._directory / token)

    def _noted(self, token: str) -> int | None:
        try:
            return int((self._directory / token).read_text())
        except (OSError, ValueError):
            return None

    def _forget(self, token: str) -> None:
        self._hashed.pop(token, None)
        with suppress(OSError):
            (self._directory / token).unlink()


class _EarlySync:
    """Has the server's disk write while more is on its way, so that little is left for the sync that counts."""

    def __init__(self, wire: Wire, handle: bytes) -> None:
        self._wire = wire
        self._handle = handle
        self._bytes = 0
        self._asked: int | None = None

    def wrote(self, count: int) -> None:
        """So many more bytes are on their way. Raises Refused, ServiceError."""
        self._bytes += count
        if self._bytes >= _EARLY_BYTES:
            self._bytes = 0
            self._take()
            self._asked = self._wire.fsync(self._handle)
            self._wire.flush()

    def _take(self) -> None:
        if self._asked is not None:
            asked, self._asked = self._asked, None
            self._wire.patience(SYNC_S)
            self._wire.done(asked)
            self._wire.patience()

    def end(self) -> None:
        self._take()
        self._wire.done(self._wire.close_handle(self._handle))
