"""Many small files at once: each step of all of them in one round trip, in several conversations.

A server answers one conversation in order, and waits for its disk at each sync. Several that wait at one time share
most of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from blake3 import blake3

from onitufs.drivers.handlers import Upload
from onitufs.model.copies import RemoteState
from onitufs.model.errors import DriverError, ServiceError, Stale
from onitufs.model.source import Source

from .answering import after_failed_write
from .placing import NEW, Ending, Placer, refusals_of
from .pool import Lane
from .remote import Look, Remote
from .streams import begin
from .wire import Refused, Wire

_WIRES = 4
_LEAST = 8
"""Files for which one more conversation is worth while."""


@dataclass(slots=True)
class _Part:
    """One file of a batch, on its way."""

    upload: Upload
    source: Source
    temp: bytes
    answer: RemoteState | DriverError | None = None
    wire: Wire | None = None
    asked: int = 0
    handle: bytes = b""
    digest: bytes = b""
    writes: list[int] = field(default_factory=list)
    ending: Ending | None = None


class Batcher:
    """Places many files below one root. For any thread; blocking calls."""

    def __init__(self, remote: Remote, placer: Placer) -> None:
        self._remote = remote
        self._placer = placer

    def upload(self, uploads: Sequence[tuple[Upload, Source]]) -> list[RemoteState | DriverError]:
        """As upload_batch. Raises ServiceError, NeedsPerson."""
        remote = self._remote
        parts = [_Part(upload, source, remote.temp()) for upload, source in uploads]
        try:
            with remote.wires(Lane.BYTES, min(_WIRES, 1 + len(parts) // _LEAST)) as wires:
                self._open(wires, parts)
                looked = self._write(wires, parts)
                self._place(wires[0], parts, looked)
        finally:
            lost = [part.temp for part in parts if part.handle and not isinstance(part.answer, RemoteState)]
            if lost:
                self._placer.discard(lost)
        return [part.answer for part in parts if part.answer is not None]

    def _open(self, wires: list[Wire], parts: list[_Part]) -> None:
        remote = self._remote
        for number, part in enumerate(parts):
            try:
                remote.path(part.upload.path)
            except DriverError as exc:
                part.answer = exc
                continue
            part.wire = wires[number % len(wires)]
            part.asked = part.wire.open(part.temp, NEW)
        for wire in wires:
            wire.flush()
        for part in parts:
            if part.wire is None:
                continue
            try:
                part.handle = part.wire.handle(part.asked)
            except Refused as exc:
                part.answer = after_failed_write(part.wire, exc, remote.root, remote.where, part.upload.path)

    def _write(self, wires: list[Wire], parts: list[_Part]) -> Look:
        """Write all of them aside; what stands where they are to be."""
        remote = self._remote
        looked = Look(remote, wires[0])
        for part in parts:
            if part.answer is not None:
                continue
            assert part.wire is not None
            hasher = blake3()
            looked.at(part.upload.path)
            try:
                part.writes = begin(part.wire, part.handle, part.source, hasher.update)
            except Stale as exc:
                part.answer = exc
            part.digest = hasher.digest()
            part.ending = Ending(remote, part.wire, part.handle, part.upload)
        for wire in wires:
            wire.flush()
        looked.take()
        for part in parts:
            if part.ending is None:
                continue
            assert part.wire is not None
            refusals = [*refusals_of(part.wire, part.writes), *part.ending.refusals()]
            if part.answer is not None:
                continue
            if refusals:
                path = part.upload.path
                part.answer = after_failed_write(part.wire, refusals[0], remote.root, remote.where, path)
            elif part.ending.closed.size != part.upload.size:
                part.answer = part.ending.wrong_size()
        return looked

    def _place(self, wire: Wire, parts: list[_Part], looked: Look) -> None:
        """Give them their names: the new ones all at once."""
        remote = self._remote
        asked: list[tuple[_Part, Ending, int, int]] = []
        for part in parts:
            path = part.upload.path
            if part.answer is not None or part.ending is None:
                continue
            try:
                looked.need_directory(path)
                if looked.there(path) is None:
                    target = remote.path(path)
                    asked.append((part, part.ending, wire.rename(part.temp, target), wire.lstat(target)))
                else:
                    self._placer.place(wire, part.temp, path, part.upload.base, looked)
                    part.answer = self._placer.placed(wire, path, part.ending.closed, part.digest)
            except ServiceError:
                raise
            except DriverError as exc:
                part.answer = exc
        for part, ending, renamed, seen in asked:
            path = part.upload.path
            refusals = refusals_of(wire, [renamed])
            found = wire.found(seen)
            try:
                if refusals:
                    target = remote.path(path)
                    remote.explain(wire, refusals[0], part.temp, target, path)
                    found = wire.found(wire.lstat(target))
                part.answer = self._placer.state(path, found, ending.closed, part.digest)
            except ServiceError:
                raise
            except DriverError as exc:
                part.answer = exc
