"""One conversation in SFTP, with as many requests under way as its user likes.

Written here, on paramiko's channels, because paramiko's own client loses write errors when it pipelines, takes short
reads for whole ones, refuses listings with a name that is no UTF-8, and tells nobody what the server offers.
"""

import struct
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from paramiko import Channel
from paramiko.ssh_exception import SSHException

from onitufs.model.errors import ServiceError

from . import packets
from .packets import Attributes, Code, Reader, Type, text, u32, u64

STALL_S = 30.0
"""A server that says nothing for so long while it owes an answer is taken for dead."""
SYNC_S = 300.0
"""As STALL_S, where it may have much to write to its disk."""
_PIECE = 32768 - 64
"""What goes into one packet of SSH: no server has to take more."""
_MOST = 1 << 20
"""A longer answer is none: a shell's greeting was taken for a packet."""
_ALL = 1 << 26
_HEAD = 5
"""Bytes of type and number before the content of an answer."""
_MOST_KEPT = 8


class Refused(Exception):
    """The server answered with this status. Only some codes say what was wrong."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Limits:
    """How much one request may ask for or bring, in bytes."""

    def __init__(self, read: int = 32768, write: int = 32768) -> None:
        self.read = read
        self.write = write


class Wire:
    """For one thread at a time. Every method may raise ServiceError: then this is of no use any more.

    `ask` gives the number of a request; its answer is taken by that number, in any order. What is asked is sent when
    the first answer is waited for, or when it is much. Paths are bytes.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._channel.settimeout(STALL_S)
        self._out: list[bytes | memoryview] = []
        self._out_bytes = 0
        self._in: deque[bytes] = deque()
        self._in_bytes = 0
        self._begin_at = 0  # in the first of them
        self._answers: dict[int, bytes] = {}
        self._number = 0
        self._owed: set[int] = set()
        self._broken = False
        self.is_stalled = False
        """The server has stopped answering, so whatever else is open to it is of no use either."""
        self.kept: dict[object, tuple[bytes, float]] = {}
        """Handles that are left open for who comes again, by what they are of, with the time of their last use."""
        self.offers: dict[bytes, bytes] = {}
        self.limits = Limits()
        self._begin()

    # -- life ---------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._push([u32(5), bytes((Type.INIT,)), u32(3)])
        packet = self._packet()
        if packet[0] != Type.VERSION:
            raise self._failed("the server does not speak SFTP")
        reader = Reader(packet, 1)
        if reader.u32() < 3:
            raise self._failed("the server speaks an SFTP older than version 3")
        while reader.left():
            name = reader.text()
            self.offers[name] = reader.text()
        if b"limits@openssh.com" in self.offers:
            reader = Reader(self.reply(self.extended(b"limits@openssh.com")))
            whole, read, write = reader.u64(), reader.u64(), reader.u64()
            most = max(whole - 1024, 32768) if whole else 32768
            self.limits = Limits(min(read or most, most, _MOST - 1024), min(write or most, most))

    @property
    def is_clean(self) -> bool:
        """Whether it can be used by the next one: nothing is owed to the one before."""
        return not self._broken and not self._owed and not self._channel.closed

    def close(self) -> None:
        """End it, also under the hands of another thread: that gets a ServiceError."""
        self._broken = True
        with suppress(OSError, EOFError, SSHException):  # it says so when the connection is dead: we know
            self._channel.close()

    def keep(self, key: object, handle: bytes) -> None:
        """Leave a handle open. The one that was not used for longest is closed if they are many."""
        self.kept.pop(key, None)
        self.kept[key] = handle, time.monotonic()
        if len(self.kept) > _MOST_KEPT:
            self.drop(next(iter(self.kept)))

    def drop(self, key: object) -> None:
        """Close a handle that was left open."""
        handle, _ = self.kept.pop(key)
        with suppress(Refused):
            self.done(self.close_handle(handle))

    def close_kept(self, before: float) -> None:
        """Close what was not used since then, on the monotonic clock."""
        for key in [key for key, (_, used) in self.kept.items() if used < before]:
            self.drop(key)

    def offer(self, name: bytes) -> bool:
        """Whether the server offers this extension."""
        return name in self.offers

    def patience(self, seconds: float | None = None) -> None:
        """How long the server may be silent from now on; None: as ever."""
        self._channel.settimeout(STALL_S if seconds is None else seconds)

    # -- packets ------------------------------------------------------------------------------------------------------

    def ask(self, kind: Type, *parts: bytes | memoryview) -> int:
        """Send a request, soon; its number."""
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        length = 5 + sum(len(part) for part in parts)
        self._owed.add(number)
        self._push([struct.pack(">IBI", length, kind, number), *parts])
        return number

    def _push(self, parts: Iterable[bytes | memoryview]) -> None:
        for part in parts:
            self._out.append(part)
            self._out_bytes += len(part)
        if self._out_bytes >= 2 * _PIECE:
            self.flush()

    def flush(self) -> None:
        """Send what is asked."""
        data = memoryview(b"".join(self._out))
        self._out.clear()
        self._out_bytes = 0
        try:
            while data:
                sent = self._channel.send(bytes(data[:_PIECE]))
                if not sent:
                    raise self._failed("the server closed the connection")
                data = data[sent:]
        except (OSError, EOFError, SSHException) as exc:
            raise self._failed(self._why(exc)) from exc

    def _take(self, length: int) -> bytes:
        """The next so many bytes. Most of what comes is large, so it is copied as seldom as can be."""
        while self._in_bytes < length:
            if self._out:
                self.flush()
            try:
                data = self._channel.recv(_ALL)
            except (OSError, EOFError, SSHException) as exc:
                self.is_stalled = isinstance(exc, TimeoutError)
                raise self._failed(self._why(exc)) from exc
            if not data:
                raise self._failed("the server closed the connection")
            self._in.append(data)
            self._in_bytes += len(data)
        self._in_bytes -= length
        at = self._begin_at
        parts: list[memoryview] = []
        while length:
            part = memoryview(self._in[0])[at : at + length]
            length -= len(part)
            parts.append(part)
            at += len(part)
            if at == len(self._in[0]):
                del self._in[0]
                at = 0
        self._begin_at = at
        return b"".join(parts)

    def _packet(self) -> bytes:
        """Its type, and then what is in it."""
        length = int.from_bytes(self._take(4), "big")
        if not 1 <= length <= _MOST:
            raise self._failed("the server does not speak SFTP (does its shell print something when it starts?)")
        return self._take(length)

    def _answer(self, number: int) -> tuple[int, Reader]:
        """Type and content of the answer to a request. Each can be taken once."""
        while number not in self._answers:
            packet = self._packet()
            if len(packet) < _HEAD:
                raise self._failed("the server sent what is no answer")
            which = int.from_bytes(packet[1:_HEAD], "big")
            if which not in self._owed:
                raise self._failed("the server answered what was not asked")
            self._owed.discard(which)
            self._answers[which] = packet
        packet = self._answers.pop(number)
        return packet[0], Reader(packet, _HEAD)

    def _why(self, exc: BaseException) -> str:
        if isinstance(exc, TimeoutError):
            return "the server has stopped answering"
        if self._channel.closed and not self._broken:  # as when there is nothing to read any more
            return "the server closed the connection"
        return f"the connection broke: {str(exc) or type(exc).__name__}"

    def _failed(self, why: str) -> ServiceError:
        self.close()
        return ServiceError(why)

    # -- answers ------------------------------------------------------------------------------------------------------

    def _expect(self, number: int, wanted: Type) -> Reader:
        kind, reader = self._answer(number)
        if kind == wanted:
            return reader
        if kind != Type.STATUS:
            raise self._failed("the server sent an answer of the wrong kind")
        raise self._status(reader)

    def _status(self, reader: Reader) -> Refused:
        code = reader.u32()
        message = reader.text().decode("utf-8", "replace") if reader.left() else ""
        return Refused(code, message or f"status {code}")

    def done(self, number: int) -> None:
        """The request succeeded. Raises Refused."""
        kind, reader = self._answer(number)
        if kind != Type.STATUS:
            raise self._failed("the server sent an answer of the wrong kind")
        refused = self._status(reader)
        if refused.code != Code.OK:
            raise refused

    def handle(self, number: int) -> bytes:
        return self._expect(number, Type.HANDLE).text()

    def data(self, number: int) -> bytes | memoryview:
        """Bytes read; b"" at the end of the file."""
        try:
            return self._expect(number, Type.DATA).view()
        except Refused as exc:
            if exc.code == Code.EOF:
                return b""
            raise

    def attributes(self, number: int) -> Attributes:
        return self._expect(number, Type.ATTRS).attributes()

    def found(self, number: int) -> Attributes | None:
        """As `attributes`; None if there is nothing, or no directory that it could be in."""
        try:
            return self.attributes(number)
        except Refused as exc:
            if exc.code == Code.NO_SUCH_FILE:
                return None
            raise

    def names(self, number: int) -> list[tuple[bytes, Attributes]] | None:
        """Some names of a directory; None: that was all."""
        try:
            reader = self._expect(number, Type.NAME)
        except Refused as exc:
            if exc.code == Code.EOF:
                return None
            raise
        names = []
        for _ in range(reader.u32()):
            name = reader.text()
            reader.text()
            names.append((name, reader.attributes()))
        return names

    def name(self, number: int) -> bytes:
        """The one name that READLINK or REALPATH answer."""
        names = self.names(number)
        if not names:
            raise self._failed("the server sent an answer without what was asked for")
        return names[0][0]

    def reply(self, number: int) -> bytes:
        """What an extension answers."""
        kind, reader = self._answer(number)
        if kind == Type.EXTENDED_REPLY:
            return bytes(reader.rest())
        raise self._status(reader)

    # -- requests -----------------------------------------------------------------------------------------------------

    def extended(self, name: bytes, *parts: bytes) -> int:
        return self.ask(Type.EXTENDED, text(name), *parts)

    def lstat(self, path: bytes) -> int:
        return self.ask(Type.LSTAT, text(path))

    def fstat(self, handle: bytes) -> int:
        return self.ask(Type.FSTAT, text(handle))

    def open(self, path: bytes, flags: int, mode: int = 0o600) -> int:
        return self.ask(Type.OPEN, text(path), u32(flags), packets.settable(mode=mode))

    def close_handle(self, handle: bytes) -> int:
        return self.ask(Type.CLOSE, text(handle))

    def read(self, handle: bytes, offset: int, length: int) -> int:
        return self.ask(Type.READ, text(handle), u64(offset), u32(length))

    def write(self, handle: bytes, offset: int, data: bytes) -> int:
        return self.ask(Type.WRITE, text(handle), u64(offset), u32(len(data)), data)

    def fsync(self, handle: bytes) -> int | None:
        """None where the server has no such thing."""
        if not self.offer(b"fsync@openssh.com"):
            return None
        return self.extended(b"fsync@openssh.com", text(handle))

    def fsetstat(self, handle: bytes, attributes: bytes) -> int:
        return self.ask(Type.FSETSTAT, text(handle), attributes)

    def rename(self, path: bytes, to: bytes) -> int:
        """Fails if there is something at `to`."""
        return self.ask(Type.RENAME, text(path), text(to))

    def replace(self, path: bytes, to: bytes) -> int:
        """Rename over what is at `to`, in one step. To be asked only where `offer(b"posix-rename@openssh.com")`."""
        return self.extended(b"posix-rename@openssh.com", text(path), text(to))

    def remove(self, path: bytes) -> int:
        return self.ask(Type.REMOVE, text(path))

    def mkdir(self, path: bytes, mode: int) -> int:
        return self.ask(Type.MKDIR, text(path), packets.settable(mode=mode))

    def realpath(self, path: bytes) -> int:
        return self.ask(Type.REALPATH, text(path))
