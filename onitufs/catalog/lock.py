"""One daemon per state directory."""

import fcntl
import os
from pathlib import Path

from onitufs.model.errors import AlreadyRunning


class StateLock:
    """An flock on DIRECTORY/lock, held as long as this process lives or until `release`."""

    def __init__(self, directory: Path) -> None:
        """Raises AlreadyRunning, naming the process that holds it."""
        path = directory / "lock"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise AlreadyRunning(
                f"{directory}: already in use by process {holder or '(unknown)'}; stop it or use another --state"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        os.close(self._fd)
