"""Bytes of one file to and from the server, with about 4 MiB of them under way at a time."""

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from onitufs.model.errors import Conflict, Stale
from onitufs.model.source import Source

from .wire import Wire

T = TypeVar("T")

_UNDER_WAY = 4 << 20


def _depth(request: int) -> int:
    return max(4, _UNDER_WAY // request)


def send(
    wire: Wire, handle: bytes, source: Source, offset: int, length: int, seen: Callable[[bytes], object] | None = None
) -> None:
    """Write source[offset:offset+length] at the same offset; the server said of each write that it was done.

    `seen` gets all bytes in order. Raises Refused, ServiceError, Stale, and what the source raises.
    """
    request = wire.limits.write
    under_way: deque[int] = deque()
    end = offset + length
    while offset < end:
        data = source.read(offset, min(request, end - offset))
        if not data:
            raise Stale("the local content is shorter than it was")
        if seen is not None:
            seen(data)
        under_way.append(wire.write(handle, offset, data))
        offset += len(data)
        if len(under_way) >= _depth(request):
            wire.done(under_way.popleft())
    for number in under_way:
        wire.done(number)


def begin(wire: Wire, handle: bytes, source: Source, seen: Callable[[bytes], object]) -> list[int]:
    """Ask for a small file to be written; the numbers whose answers are still to be taken. Raises as `send`."""
    asked = []
    offset = 0
    while offset < source.size:
        data = source.read(offset, min(wire.limits.write, source.size - offset))
        if not data:
            raise Stale("the local content is shorter than it was")
        seen(data)
        asked.append(wire.write(handle, offset, data))
        offset += len(data)
    return asked


def receive(
    wire: Wire,
    handle: bytes,
    offset: int,
    length: int,
    take: Callable[[bytes | memoryview], object],
    then: Callable[[], T],
) -> T:
    """Give file[offset:offset+length] to `take`, in order. Raises Conflict if the file ends before, Refused.

    `then` is called once the last part is asked for: what it asks is answered right after that. What it gave.
    """
    asked: T | None = None
    is_late = False
    request = wire.limits.read
    under_way: deque[tuple[int, int, int]] = deque()
    end = offset + length
    while True:
        while offset < end and len(under_way) < _depth(request):
            size = min(request, end - offset)
            under_way.append((wire.read(handle, offset, size), offset, size))
            offset += size
        if asked is None:
            asked = then() if offset >= end else None
        if not under_way:
            break
        number, at, size = under_way.popleft()
        data = wire.data(number)
        take(data)
        while len(data) < size:  # a short answer is no end: ask for the rest
            at, size = at + len(data), size - len(data)
            is_late = asked is not None
            data = wire.data(wire.read(handle, at, size))
            if not data:
                raise Conflict("the file is shorter than it was")
            take(data)
    if asked is None or is_late:
        return then()
    return asked
