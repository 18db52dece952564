"""What SFTP version 3 looks like on the wire. Source: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL."""

import enum
import struct
from dataclasses import dataclass


class Type(enum.IntEnum):
    """Types of packets."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Code(enum.IntEnum):
    """Codes of a STATUS that mean something by themselves. Everything else is FAILURE, whatever happened."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5  # OpenSSH's also for a name that is too long
    OP_UNSUPPORTED = 8


READ = 0x01
WRITE = 0x02
CREATE = 0x08
TRUNCATE = 0x10
EXCLUSIVE = 0x20

_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 0x1, 0x2, 0x4, 0x8, 0x80000000
_MOST_S = 2**32 - 1

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_TWO = struct.Struct(">II")


def u32(number: int) -> bytes:
    return _U32.pack(number)


def u64(number: int) -> bytes:
    return _U64.pack(number)


def text(data: bytes) -> bytes:
    """Bytes with their length before them."""
    return _U32.pack(len(data)) + data


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a server says of an object. Times in whole seconds, as the protocol has them."""

    size: int = 0
    uid: int = 0
    gid: int = 0
    mode: int = 0  # with the bits of the file type
    mtime_s: int = 0


def settable(mode: int | None = None, mtime_ns: int | None = None) -> bytes:
    """Attributes to set. A time that the protocol cannot carry becomes the nearest one that it can."""
    flags, parts = 0, b""
    if mode is not None:
        flags |= _MODE
        parts += u32(mode)
    if mtime_ns is not None:
        flags |= _TIMES
        parts += _TWO.pack(*[seconds(mtime_ns)] * 2)
    return u32(flags) + parts


def seconds(mtime_ns: int) -> int:
    return min(max(mtime_ns // 10**9, 0), _MOST_S)


class Reader:
    """Takes the parts of an answer, one after the other. Raises struct.error if it is shorter than it says."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    def u32(self) -> int:
        (number,) = _U32.unpack_from(self._data, self._at)
        self._at += 4
        return int(number)

    def u64(self) -> int:
        (number,) = _U64.unpack_from(self._data, self._at)
        self._at += 8
        return int(number)

    def text(self) -> bytes:
        length = self.u32()
        data = self._data[self._at : self._at + length]
        if len(data) != length:
            raise struct.error("a text is cut off")
        self._at += length
        return data

    def view(self) -> memoryview:
        """As text(), of what is not to be copied."""
        length = self.u32()
        data = self.rest()[:length]
        if len(data) != length:
            raise struct.error("a text is cut off")
        self._at += length
        return data

    def rest(self) -> memoryview:
        """All that is left."""
        return memoryview(self._data)[self._at :]

    def left(self) -> bool:
        return self._at < len(self._data)

    def attributes(self) -> Attributes:
        flags = self.u32()
        size = self.u64() if flags & _SIZE else 0
        uid, gid = (self.u32(), self.u32()) if flags & _OWNER else (0, 0)
        mode = self.u32() if flags & _MODE else 0
        mtime_s = 0
        if flags & _TIMES:
            self.u32()
            mtime_s = self.u32()
        if flags & _EXTENDED:
            for _ in range(self.u32()):
                self.text()
                self.text()
        return Attributes(size, uid, gid, mode, mtime_s)
