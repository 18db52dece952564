"""Many small files at once: each step of all of them in one round trip, in several conversations.

A server answers one conversation in order, and waits for its disk at each sync. Several that wait at one time share
most of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from blake3 import blake3

from onitufs.drivers.handlers import Upload
from onitufs.model.copies import RemoteState
from onitufs.model.errors import DriverError, ServiceError, Stale
from onitufs.model.source import Source

from .answering import after_failed_write
from .packets import Attributes, text
from .placing import NEW, Ending, Placer, refusals_of
from .pool import Lane
from .remote import Look, Remote
from .states import rev_of
from .streams import begin
from .trash import Trash
from .wire import Refused, Wire

_WIRES = 4
_SLOTS = 3
"""Names in the trash that are tried for all at once; the plain one is taken when a file is replaced again."""
_OPEN = 64
"""Files that are open in one conversation at one time: some servers allow no more than a few hundred."""
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


@dataclass(slots=True)
class _Replacing:
    """A file of a batch that takes the place of the object that is `there`. `slots`: names in the trash for that."""

    part: _Part
    ending: Ending
    there: Attributes
    target: bytes
    slots: Iterator[bytes]
    slot: bytes = b""


class Batcher:
    """Places many files below one root. For any thread; blocking calls."""

    def __init__(self, remote: Remote, placer: Placer, trash: Trash) -> None:
        self._remote = remote
        self._placer = placer
        self._trash = trash

    def upload(self, uploads: Sequence[tuple[Upload, Source]]) -> list[RemoteState | DriverError]:
        """As upload_batch. Raises ServiceError, NeedsPerson."""
        remote = self._remote
        parts = [_Part(upload, source, remote.temp()) for upload, source in uploads]
        try:
            with remote.wires(Lane.BYTES, min(_WIRES, 1 + len(parts) // _LEAST)) as wires:
                most = _OPEN * len(wires)
                for start in range(0, len(parts), most):
                    some = parts[start : start + most]
                    self._open(wires, some)
                    looked = self._write(wires, some)
                    self._place(wires[0], some, looked)
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
        """Give them their names: the new ones all at once, then those that replace something."""
        asked: list[tuple[_Part, Ending, int, int]] = []
        replacing: list[_Replacing] = []
        for part in parts:
            path = part.upload.path
            if part.answer is not None or part.ending is None:
                continue
            try:
                there = self._placer.may_take(path, part.upload.base, looked)
                target = self._remote.path(path)
                if there is None:
                    asked.append((part, part.ending, wire.rename(part.temp, target), wire.lstat(target)))
                else:
                    replacing.append(_Replacing(part, part.ending, there, target, self._trash.slots(wire, path)))
            except DriverError as exc:
                part.answer = exc
        for part, ending, renamed, seen in asked:
            path = part.upload.path
            refusals = refusals_of(wire, [renamed])
            found = wire.found(seen)
            try:
                if refusals:
                    target = self._remote.path(path)
                    self._remote.explain(wire, refusals[0], part.temp, target, path)
                    found = wire.found(wire.lstat(target))
                part.answer = self._placer.state(path, found, ending.closed, part.digest)
            except ServiceError:
                raise
            except DriverError as exc:
                part.answer = exc
        for each in self._replace_together(wire, replacing):
            self._replace_singly(wire, each)

    def _replace_together(self, wire: Wire, replacing: list[_Replacing]) -> list[_Replacing]:
        """As Placer.replace of each, the steps of all at once; those that did not go so, and where nothing was done."""
        if not (wire.offer(b"posix-rename@openssh.com") and wire.offer(b"hardlink@openssh.com")):
            return replacing
        left: list[_Replacing] = []
        kept: list[_Replacing] = []
        waiting = replacing
        for _ in range(_SLOTS):
            asked = []
            for each in waiting:
                each.slot = next(each.slots)
                linked = wire.extended(b"hardlink@openssh.com", text(each.target), text(each.slot))
                asked.append((each, linked, wire.lstat(each.slot), wire.lstat(each.target)))
            waiting = []
            for each, linked, slot, target in asked:
                refusals = refusals_of(wire, [linked])
                in_slot, now = wire.found(slot), wire.found(target)
                if refusals:
                    (waiting if in_slot is not None else left).append(each)
                elif in_slot is None or now is None or not rev_of(in_slot) == rev_of(now) == rev_of(each.there):
                    refusals_of(wire, [wire.remove(each.slot)])
                    left.append(each)
                else:
                    kept.append(each)
        renamed = [(each, wire.replace(each.part.temp, each.target), wire.lstat(each.target)) for each in kept]
        for each, done, seen in renamed:
            refusals = refusals_of(wire, [done])
            found = wire.found(seen)
            if refusals:
                refusals_of(wire, [wire.remove(each.slot)])
                left.append(each)
                continue
            part = each.part
            try:
                part.answer = self._placer.state(part.upload.path, found, each.ending.closed, part.digest)
            except DriverError as exc:
                part.answer = exc
        return [*left, *waiting]

    def _replace_singly(self, wire: Wire, each: _Replacing) -> None:
        part = each.part
        path = part.upload.path
        try:
            self._placer.replace(wire, part.temp, path, each.there)
            part.answer = self._placer.placed(wire, path, each.ending.closed, part.digest)
        except ServiceError:
            raise
        except DriverError as exc:
            part.answer = exc
