"""What we placed on the server since it was last looked through.

The watcher compares what a directory holds with what it held. What came and went in between, or was changed and changed
back, is in neither: so where something of ours was placed is told in any case. It is kept in a file, so that a killed
daemon forgets none of it. After a restart of the machine, whose file may lack its end, nothing is sure.
"""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from onitufs.drivers.handlers import RemotePath

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Placed:
    """For any thread; raises OSError."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._taken = 0  # bytes of the file
        boot = _BOOT.read_bytes().strip() + b"\0"
        known = file.read_bytes() if file.exists() else b""
        self._head = len(boot)
        self.is_whole = known.startswith(boot)
        """Whether all that was noted in earlier runs is in it."""
        self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if not self.is_whole:
            os.ftruncate(self._fd, 0)
            os.write(self._fd, boot)

    def close(self) -> None:
        """Works twice; what is noted afterwards fails."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def note(self, paths: Iterable[RemotePath]) -> None:
        """Before anybody learns that it was placed."""
        with self._lock:
            os.write(self._fd, b"".join(b"/".join(path) + b"\0" for path in paths))

    def take(self) -> list[RemotePath]:
        """What was noted and is not told() yet."""
        with self._lock:
            self._taken = os.fstat(self._fd).st_size
            data = os.pread(self._fd, self._taken - self._head, self._head)
        return list(dict.fromkeys(tuple(path.split(b"/")) for path in data.split(b"\0") if path))

    def told(self) -> None:
        """What take() gave is written down elsewhere."""
        with self._lock:
            size = os.fstat(self._fd).st_size
            later = os.pread(self._fd, size - self._taken, self._taken)
            if self._taken > self._head and not later:  # else it is taken once more
                os.ftruncate(self._fd, self._head)
