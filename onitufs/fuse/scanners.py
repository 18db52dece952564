"""Readers that read everything there is: told by the name of their process, given the beginning of a file only.

A process has several names: what the kernel calls it (15 bytes, for a script the script's), its program's file, the
first word of its command line, and the second one if the first is an interpreter. Source: proc(5).
"""

import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import translate

from onitufs.content.partial import BLOCK_BYTES

_COMM = 15
_INTERPRETER = re.compile(r"python[\d.]*|perl|ruby|node|sh|bash|kioworker|kioslave\d*")


class Scanners:
    """Which processes are such, as a setup says (Setup.scanners), and how many bytes of a file they get."""

    def __init__(self, names: Iterable[str] = (), head_bytes: int = 0) -> None:
        self.follow(names, head_bytes)

    def follow(self, names: Iterable[str], head_bytes: int) -> None:
        """From now on it is these."""
        names = list(names)
        self.head_bytes = head_bytes
        self._is_one = re.compile("|".join(translate(name) for name in names)) if names else None
        self._cut = {name[:_COMM] for name in names if len(name) > _COMM}

    def is_one(self, pid: int) -> bool:
        """Whether a process, or the one of that thread, is one. False if it has ended or cannot be looked at."""
        if self._is_one is None or pid <= 0:
            return False
        return any(self._is_one.match(name) or name in self._cut for name in _names(pid))


class Window:
    """The beginning of one file, as far as one reader was given it. Kept while it is open."""

    def __init__(self, size: int, head_bytes: int) -> None:
        self.size = size
        self.end = min(size, head_bytes)
        self._blocks: dict[int, bytes] = {}

    def wanted(self, offset: int, length: int) -> tuple[int, int]:
        """Offset and length of what is to be fetched and given to `put` before that is read; length 0: nothing."""
        blocks = range(offset // BLOCK_BYTES, -(-min(offset + length, self.end) // BLOCK_BYTES))
        missing = [block for block in blocks if block not in self._blocks]
        if not missing:
            return offset, 0
        begin = missing[0] * BLOCK_BYTES
        return begin, min((missing[-1] + 1) * BLOCK_BYTES, self.end) - begin

    def put(self, offset: int, data: bytes) -> None:
        for at in range(0, len(data), BLOCK_BYTES):
            self._blocks[(offset + at) // BLOCK_BYTES] = data[at : at + BLOCK_BYTES]

    def read(self, offset: int, length: int) -> bytes:
        """Up to the end of the window."""
        first, end = offset // BLOCK_BYTES, min(offset + length, self.end)
        whole = b"".join(self._blocks[block] for block in range(first, -(-end // BLOCK_BYTES)))
        return whole[offset - first * BLOCK_BYTES : end - first * BLOCK_BYTES]


def _names(pid: int) -> Iterator[str]:
    try:
        status = _text(f"/proc/{pid}/status")
        yield status.partition("Name:\t")[2].partition("\n")[0]
        group = status.partition("Tgid:\t")[2].partition("\n")[0]
        if group != str(pid):
            yield _text(f"/proc/{group}/comm").rstrip("\n")
        first, _, rest = _text(f"/proc/{pid}/cmdline").partition("\0")
        first = os.path.basename(first)
        yield first
        if _INTERPRETER.fullmatch(first):
            yield os.path.basename(rest.partition("\0")[0])
        yield os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:  # it has ended, or is somebody else's
        return


def _text(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(4096).decode(errors="surrogateescape")
