"""What an answer of the server means for the entry."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from onitufs.drivers.handlers import RemotePath, shown
from onitufs.model.errors import (
    DriverError,
    Gone,
    NameNotAllowed,
    NeedsPerson,
    QuotaFull,
    ServiceError,
)

from .packets import Code, Reader, text
from .wire import Refused, Wire

_LONGEST_NAME = 255
_LONGEST_PATH = 4000
_LITTLE = 1 << 20


@contextmanager
def answering(where: str, path: RemotePath = ()) -> Iterator[None]:
    """Turns what a Wire raises into the DriverError that says where and what to do. `where`: the entry's root."""
    try:
        yield
    except Refused as exc:
        raise meaning(exc, where, path) from exc
    except ServiceError as exc:
        if str(exc).startswith(where):
            raise
        raise ServiceError(f"{where}: {exc}", exc.retry_after_s) from exc
    except struct.error as exc:
        raise ServiceError(f"{where}: the server sent an answer that is cut off") from exc


def meaning(refused: Refused, where: str, path: RemotePath = ()) -> DriverError:
    """What a refusal says by itself."""
    what = f"{shown(path)} in {where}: {refused}" if path else f"{where}: {refused}"
    match refused.code:
        case Code.NO_SUCH_FILE:
            return Gone(what)
        case Code.PERMISSION_DENIED:
            return NeedsPerson(f"{what}; give the user who logs in the right to read and write there")
        case Code.BAD_MESSAGE:
            return NameNotAllowed(f"{what}; rename the file, or use a shorter path")
        case Code.OP_UNSUPPORTED:
            return ServiceError(f"{what}: the server cannot do this")
        case _:
            return ServiceError(what)


def check_path(path: RemotePath, root: bytes, where: str) -> None:
    """Raises NameNotAllowed for a path that no server on Linux takes: some answer to it as to any other trouble."""
    if any(len(name) > _LONGEST_NAME for name in path):
        raise NameNotAllowed(f"{shown(path)} in {where}: the name is too long; rename the file")
    if len(root) + sum(len(name) + 1 for name in path) > _LONGEST_PATH:
        raise NameNotAllowed(f"{shown(path)} in {where}: the path is too long; use a shorter one")


def space(wire: Wire, path: bytes) -> tuple[int, int] | None:
    """Bytes free to us and bytes in all on the file system of `path`; None where the server does not say."""
    if not wire.offer(b"statvfs@openssh.com"):
        return None
    try:
        reader = Reader(wire.reply(wire.extended(b"statvfs@openssh.com", text(path))))
    except Refused:
        return None
    reader.u64()
    unit, blocks, _, free = reader.u64(), reader.u64(), reader.u64(), reader.u64()
    return unit * free, unit * blocks


def file_system(wire: Wire, path: bytes) -> int | None:
    """A number of the file system that `path` is on; None where the server does not say."""
    if not wire.offer(b"statvfs@openssh.com"):
        return None
    try:
        reader = Reader(wire.reply(wire.extended(b"statvfs@openssh.com", text(path))))
    except Refused:
        return None
    for _ in range(8):
        reader.u64()
    return reader.u64()


def after_failed_write(wire: Wire, refused: Refused, root: bytes, where: str, path: RemotePath) -> DriverError:
    """Why bytes could not be written: the server says no more than that."""
    if refused.code == Code.FAILURE and (found := space(wire, root)) is not None and found[0] < _LITTLE:
        return QuotaFull(f"{shown(path)} in {where}: no space left on the server; free some there")
    return meaning(refused, where, path)
