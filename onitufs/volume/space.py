"""How much room there is: what the quota and the disk leave, and the reserve that only late write-back may use."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from onitufs.model.errors import NoSpace

RESERVE = 256 << 20  # bytes kept for bytes that programs were already told are saved
MAKING_S = 10.0  # how long bytes that come from elsewhere wait for room
_FRESH_S = 1.0
_AT_ONCE_S = 0.02  # a refusal is never older than this
_ENDLESS = 1 << 62
TIGHT = 2  # reserves; with less left write() itself is to fail, because later there may be nobody to tell


@dataclass(frozen=True, slots=True)
class Room:
    """As statvfs(3): counts of blocks of `block` bytes."""

    block: int
    blocks: int
    free: int
    available: int
    inodes: int
    inodes_free: int


class Space:
    """What the local store may still take: looked up at most once a second, and counted down by what is written.

    `quota` in bytes, None: what the disk has. `used`: bytes that the store takes now. The reserve is 256 MiB, of a
    small quota 5 %.
    """

    def __init__(self, directory: Path, reserve: int = RESERVE) -> None:
        self._directory = directory
        self._most_reserve = reserve
        self.quota: int | None = None
        self.used: Callable[[], int] = lambda: 0
        self._looked_s = 0.0
        self._grown = 0  # bytes written since then
        self._wanted = 0  # bytes that somebody waits to have room for
        self._made = trio.Event()
        self.asked = trio.Event()  # set when somebody begins to wait
        self._left = 0  # what programs may still begin to write; below 0 where the reserve is in use
        self._late = 0  # what late write-back may still write
        self._room = self._look()

    @property
    def reserve(self) -> int:
        """Bytes."""
        return self._most_reserve if self.quota is None else min(self._most_reserve, self.quota // 20)

    def forget(self) -> None:
        """What was looked up does not hold any more: room was made, perhaps."""
        self._looked_s, self._wanted = 0.0, 0
        self._made.set()
        self._made = trio.Event()

    async def room_for(self, length: int) -> None:
        """Return when there is room for so many bytes to come from elsewhere; under a quota it is made, which takes
        its time. Raises NoSpace if none can be made within 10 s."""
        if self.left >= length:
            return
        if self.quota is not None:
            with trio.move_on_after(MAKING_S):
                while self.left < length:
                    self._wanted = max(self._wanted, length)
                    self.asked.set()
                    with trio.move_on_after(_FRESH_S):
                        await self._made.wait()
        if self.left < length:
            raise NoSpace(self._why())

    def room(self) -> Room:
        """What programs may be told: the figures of quota and disk, less the reserve."""
        self._refresh(_FRESH_S)
        room, grown = self._room, self._grown // self._room.block
        return replace(room, free=max(0, room.free - grown), available=max(0, room.available - grown))

    @property
    def left(self) -> int:
        """Bytes that programs may still begin to write."""
        self._refresh(_FRESH_S)
        return self._left - self._grown

    def need(self) -> None:
        """Raises NoSpace if a program should not begin to write more."""
        if self.left <= 0:
            self._refresh(_AT_ONCE_S)
            if self._left - self._grown <= 0:
                raise NoSpace(self._why())

    @property
    def tight(self) -> bool:
        """Whether so little is left that a program should hear of its end from write() itself."""
        return self.left < TIGHT * self.reserve

    def take(self, length: int, *, late: bool) -> bool:
        """A file grows by so many bytes at most. False if there is no room for them; late write-back may use the
        reserve."""
        self._grown += length
        if self._grown <= (self._late if late else self._left):
            return True
        self._refresh(_AT_ONCE_S)
        if self._grown + length <= (self._late if late else self._left):
            self._grown += length
            return True
        return False

    def lacking(self) -> int:
        """Bytes that should be let go of now, so that programs find room later. When less than a tenth of all is left
        (or 1 GiB), so much that it is twice that."""
        room = self.room()
        whole = room.blocks * room.block if self.quota is None else self.quota
        ahead, left = min(1 << 30, whole // 10), self.left
        return ahead + max(ahead, self._wanted) - left if left < max(ahead, self._wanted) else 0

    def _why(self) -> str:
        if self.quota is not None and self.used() + self.reserve >= self.quota:
            return f"the quota of {self.quota} bytes is used up"
        return f"less than {self.reserve >> 20} MiB free on the disk of {self._directory}"

    def _refresh(self, older_s: float) -> None:
        if time.monotonic() - self._looked_s >= older_s:
            self._room = self._look()

    def _look(self) -> Room:
        real = os.statvfs(self._directory)
        self._looked_s, self._grown = time.monotonic(), 0
        reserve = self.reserve
        blocks, free = real.f_blocks, real.f_bfree - reserve // real.f_frsize
        self._left, self._late = real.f_bavail * real.f_frsize - reserve, _ENDLESS
        if self.quota is not None:
            rest = self.quota - self.used()
            blocks, free = min(blocks, self.quota // real.f_frsize), min(free, (rest - reserve) // real.f_frsize)
            self._left, self._late = min(self._left, rest - reserve), rest
        return Room(
            block=real.f_frsize,
            blocks=blocks,
            free=max(0, free),
            available=max(0, self._left // real.f_frsize),
            inodes=real.f_files,
            inodes_free=real.f_ffree,
        )
