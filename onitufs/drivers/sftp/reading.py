"""The bytes of files on a server, while others may change them: always of one rev, or an error."""

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from blake3 import blake3

from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.writing import write_all
from onitufs.model.errors import Conflict, DriverError, Gone

from . import packets
from .answering import meaning
from .packets import Attributes, Code
from .pool import Lane
from .remote import Look, Remote
from .states import rev_of
from .streams import receive
from .wire import Refused, Wire

_TICK = 1 << 20
_WIRES = 2
_LEAST = 16
"""Files for which one more conversation is worth while."""


@dataclass(slots=True)
class _Part:
    """One file of many that are read at one time."""

    path: RemotePath
    rev: str
    wire: Wire
    asked: int
    handle: bytes = b""
    reads: list[tuple[int, int, int]] = field(default_factory=list)  # request, offset, length
    check: Callable[[], None] = lambda: None
    answer: bytes | DriverError | None = None


class Reader:
    """Reads below one root. For any thread; blocking calls; raises DriverError."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def _open(self, wire: Wire, path: RemotePath, rev: str) -> tuple[bytes, int]:
        """Handle and size of a file. Raises Gone; Conflict if it is not of that rev.

        It is opened in the round trip in which it is looked at: that it is a file is known from its rev.
        """
        remote = self._remote
        if "." not in rev:
            raise Conflict(f"{remote.shown(path)} is not a file")
        looked = Look(remote, wire, path)
        asked = wire.open(remote.path(path), packets.READ)
        handle, refused = b"", None
        try:
            handle = wire.handle(asked)
        except Refused as exc:
            refused = exc
        looked.take()
        found = looked.there(path)
        trouble: Exception | None = None
        if found is None or (refused is not None and refused.code == Code.NO_SUCH_FILE):
            trouble = Gone(f"{remote.shown(path)} is not there")
        elif not self._is(found, rev):
            trouble = self._changed(path)
        if handle and trouble is not None:
            wire.done(wire.close_handle(handle))
        trouble = trouble or refused
        if trouble is not None:
            raise trouble
        assert found is not None
        return handle, found.size

    @staticmethod
    def _is(found: Attributes, rev: str) -> bool:
        return stat.S_ISREG(found.mode) and rev_of(found) == rev

    def _changed(self, path: RemotePath) -> Conflict:
        return Conflict(f"{self._remote.shown(path)} has been changed")

    def _still(self, wire: Wire, handle: bytes, path: RemotePath, rev: str) -> Callable[[], None]:
        """Ask whether a file is still of that rev, open and by its name; the answer is taken by calling what comes.

        That raises Conflict, Gone.
        """
        opened, named = wire.fstat(handle), wire.lstat(self._remote.path(path))

        def check() -> None:
            found, there = wire.attributes(opened), wire.found(named)
            if there is None:
                raise Gone(f"{self._remote.shown(path)} is not there any more")
            if not (self._is(found, rev) and self._is(there, rev)):
                raise self._changed(path)

        return check

    def chunk(self, path: RemotePath, rev: str, offset: int, length: int) -> bytes:
        """Bytes at an offset; fewer than `length` only at the end. The file stays open for more, for a while."""
        key = path, rev
        with self._remote.wire(Lane.BYTES, path, key) as wire:
            kept = wire.kept.get(key)
            handle = self._open(wire, path, rev)[0] if kept is None else kept[0]
            wire.keep(key, handle)
            try:
                size = _size(rev)
                taken: list[bytes | memoryview] = []
                wanted = max(0, min(length, size - offset))
                check = receive(
                    wire, handle, offset, wanted, taken.append, lambda: self._still(wire, handle, path, rev)
                )
                check()
            except (Conflict, Gone):
                wire.drop(key)
                raise
            return b"".join(taken)

    def copy(self, path: RemotePath, rev: str, fd: int, tick: Callable[[int], None]) -> bytes:
        """Write a whole file into `fd`; its digest. Raises OSError if that one cannot be written."""
        hasher = blake3()
        done = told = 0

        def take(data: bytes | memoryview) -> None:
            nonlocal done, told
            hasher.update(data)
            done = write_all(fd, data, done)
            if done - told >= _TICK:
                told = done
                self._remote.check_cancelled()
                tick(done)

        with self._remote.wire(Lane.BYTES, path) as wire:
            handle, size = self._open(wire, path, rev)
            check = receive(wire, handle, 0, size, take, partial(self._still, wire, handle, path, rev))
            closed = wire.close_handle(handle)
            check()
            wire.done(closed)
            if told < done or size == 0:
                tick(done)
        return hasher.digest()

    # -- many ---------------------------------------------------------------------------------------------------------

    def many(self, wanted: Sequence[tuple[RemotePath, str]]) -> list[bytes | DriverError]:
        """All bytes of each of these small files, in four round trips."""
        with self._remote.wires(Lane.BYTES, min(_WIRES, 1 + len(wanted) // _LEAST)) as wires:
            looked = Look(self._remote, wires[0])
            parts = [self._asked(wires[number % len(wires)], looked, *one) for number, one in enumerate(wanted)]
            for wire in wires:
                wire.flush()
            looked.take()
            for part in parts:
                self._take_handle(looked, part)
            for wire in wires:
                wire.flush()
            for part in parts:
                self._take_bytes(part)
            closed = [(part.wire, part.wire.close_handle(part.handle)) for part in parts if part.handle]
            for wire, number in closed:
                wire.done(number)
        return [part.answer for part in parts if part.answer is not None]

    def _asked(self, wire: Wire, looked: Look, path: RemotePath, rev: str) -> _Part:
        part = _Part(path, rev, wire, 0)
        try:
            at = self._remote.path(path)
            looked.at(path[:-1])
        except DriverError as exc:
            part.answer = exc
        else:
            if "." not in rev:
                part.answer = self._changed(path)
            else:
                part.asked = wire.open(at, packets.READ)
        return part

    def _take_handle(self, looked: Look, part: _Part) -> None:
        """Its handle; and ask for the bytes, and whether it is of that rev then, and still the file of that name."""
        if part.answer is not None:
            return
        try:
            part.handle = part.wire.handle(part.asked)
        except Refused as exc:
            part.answer = meaning(exc, self._remote.where, part.path)
            return
        if not looked.has_directory(part.path):
            part.answer = Gone(f"{self._remote.shown(part.path)} is not there")
            return
        size, request = _size(part.rev), part.wire.limits.read
        for offset in range(0, size, request):
            length = min(request, size - offset)
            part.reads.append((part.wire.read(part.handle, offset, length), offset, length))
        part.check = self._still(part.wire, part.handle, part.path, part.rev)

    def _take_bytes(self, part: _Part) -> None:
        if part.answer is not None:
            return
        taken: list[bytes | memoryview] = []
        trouble: DriverError | None = None
        have, is_short = 0, False
        for number, offset, length in part.reads:  # each is to be taken, whatever it is
            try:
                data = part.wire.data(number)
            except Refused as exc:
                trouble = trouble or meaning(exc, self._remote.where, part.path)
                continue
            if offset == have and not is_short:
                taken.append(data)
                have += len(data)
            is_short = is_short or len(data) < length
        try:
            part.check()
            if is_short and trouble is None:  # a short answer is no end
                still = partial(self._still, part.wire, part.handle, part.path, part.rev)
                receive(part.wire, part.handle, have, _size(part.rev) - have, taken.append, still)()
        except Refused as exc:
            trouble = trouble or meaning(exc, self._remote.where, part.path)
        except (Conflict, Gone) as exc:  # which is why it could not be read, perhaps
            trouble = exc
        part.answer = trouble or b"".join(taken)


def _size(rev: str) -> int:
    """Bytes of a file of that rev."""
    return int(rev.partition(".")[0], 16)
