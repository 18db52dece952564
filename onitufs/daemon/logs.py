"""The daemon's one log: STATE/log/onitufs.log, a JSON object a line, rotated by size; stdlib logging ends there too.

Every line has `time` (RFC 3339, UTC), `level`, `logger` and `event`. Libraries call logging.getLogger(__name__), with
facts in `extra={...}`; structlog's context variables (structlog.contextvars) are added to whatever a task logs.
"""

import logging
import logging.handlers
import os
import sys
from pathlib import Path
from typing import IO

FILE = "onitufs.log"
LARGEST = 8 * 1024 * 1024  # bytes of one file
KEPT = 4  # older files, onitufs.log.1 the youngest
MOST_HELD_BACK = 1000  # records


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotating file that only its owner reads."""

    def _open(self) -> IO[str]:  # type: ignore[override]
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return open(fd, "a", encoding="ascii", errors="backslashreplace")


def start(directory: Path, *, stderr: bool, debug: bool = False, later: bool = False) -> Path:
    """Send all logging to a file in `directory` (made 0700), and with `stderr` to a person as well.

    With `later`, lines are held back until go_on(), the first warning or the end: what writes them takes longer to
    import than a mount takes to come up. Returns the file's path. Raises OSError if it cannot be written. Afterwards
    logging never raises: a full disk loses lines, not the daemon.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / FILE
    to_file = _PrivateFile(path, maxBytes=LARGEST, backupCount=KEPT)
    to_person = logging.StreamHandler(sys.stderr) if stderr else None
    logging.raiseExceptions = False
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    root.addHandler(_HeldBack(to_file, to_person))
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.captureWarnings(True)
    if not later:
        go_on()
    return path


def go_on() -> None:
    """Write what was held back, and from now on everything at once. Any thread may call it, at any time."""
    for handler in logging.getLogger().handlers[:]:
        if isinstance(handler, _HeldBack):
            handler.go_on()


class _HeldBack(logging.Handler):
    """Keeps records, and in the end puts in its own place the handlers that write them."""

    def __init__(self, to_file: logging.Handler, to_person: logging.Handler | None) -> None:
        super().__init__()
        self._to_file, self._to_person = to_file, to_person
        self._records: list[logging.LogRecord] = []
        self._writers: list[logging.Handler] = []

    def emit(self, record: logging.LogRecord) -> None:
        if self._writers:  # it was on its way here when we left our place
            self._write(record)
            return
        self._records.append(record)
        if record.levelno >= logging.WARNING or len(self._records) >= MOST_HELD_BACK:
            self.go_on()

    def go_on(self) -> None:
        from . import log_lines  # before we take the lock, for which whoever logs would wait

        self.acquire()
        try:
            if self._writers:
                return
            log_lines.configure()
            self._to_file.setFormatter(log_lines.for_files())
            self._writers.append(self._to_file)
            if self._to_person is not None:
                self._to_person.setFormatter(log_lines.for_people())
                self._writers.append(self._to_person)
            for record in self._records:
                self._write(record)
            self._records.clear()
            # a new list: who logs right now goes through the old one, and would write twice
            root = logging.getLogger()
            root.handlers = [*(other for other in root.handlers if other is not self), *self._writers]
        finally:
            self.release()

    def _write(self, record: logging.LogRecord) -> None:
        for writer in self._writers:
            writer.handle(record)

    def close(self) -> None:
        """At the end of the process, or when another log is started."""
        self.go_on()
        super().close()
