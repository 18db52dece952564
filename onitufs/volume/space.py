"""How much room the state's disk has, and the reserve that only late write-back may use."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from onitufs.model.errors import NoSpace

RESERVE = 256 << 20  # bytes kept for bytes that programs were already told are saved
_FRESH_S = 1.0


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
    """statvfs of the state directory, looked up at most once a second."""

    def __init__(self, directory: Path, reserve: int = RESERVE) -> None:
        self._directory = directory
        self._reserve = reserve
        self._until = 0.0
        self._room = self.room()

    def room(self) -> Room:
        """What programs may be told: the disk's figures, less the reserve."""
        now = time.monotonic()
        if now >= self._until:
            real = os.statvfs(self._directory)
            kept = self._reserve // real.f_frsize
            self._room = Room(
                block=real.f_frsize,
                blocks=real.f_blocks,
                free=max(0, real.f_bfree - kept),
                available=max(0, real.f_bavail - kept),
                inodes=real.f_files,
                inodes_free=real.f_ffree,
            )
            self._until = now + _FRESH_S
        return self._room

    def need(self) -> None:
        """Raises NoSpace if a program should not begin to write more."""
        if self.room().available <= 0:
            raise NoSpace(f"less than {self._reserve >> 20} MiB free on the disk of {self._directory}")
