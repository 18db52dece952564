"""The daemon's one log: STATE/log/onitufs.log, a JSON object a line, rotated by size; stdlib logging ends there too.

Every line has `time` (RFC 3339, UTC), `level`, `logger` and `event`. Libraries call logging.getLogger(__name__), with
facts in `extra={...}`; structlog's context variables (structlog.contextvars) are added to whatever a task logs.
"""

import json
import logging
import logging.handlers
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import IO, Any

import structlog

from .redaction import redacted

FILE = "onitufs.log"
LARGEST = 8 * 1024 * 1024  # bytes of one file
KEPT = 4  # older files, onitufs.log.1 the youngest


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotating file that only its owner reads."""

    def _open(self) -> IO[str]:  # type: ignore[override]
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return open(fd, "a", encoding="ascii", errors="backslashreplace")


def start(directory: Path, *, stderr: bool, debug: bool = False) -> Path:
    """Send all logging to a file in `directory` (made 0700), and with `stderr` to a person as well.

    Returns the file's path. Raises OSError if it cannot be written. Afterwards logging never raises: a full disk
    loses lines, not the daemon.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / FILE
    to_file = _PrivateFile(path, maxBytes=LARGEST, backupCount=KEPT)
    to_file.setFormatter(_formatter(_as_json))
    handlers: list[logging.Handler] = [to_file]
    if stderr:
        to_person = logging.StreamHandler(sys.stderr)
        to_person.setFormatter(_formatter(_as_text))
        handlers.append(to_person)
    logging.raiseExceptions = False
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return path


def _common() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _formatter(render: structlog.typing.Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_common(), structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redacted, render],
    )


def _as_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    first = {name: event.pop(name, None) for name in ("time", "level", "logger", "event")}
    return json.dumps(first | dict(event))


def _as_text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    exception = event.pop("exception", None)
    line = f"{event.pop('time', '')} {event.pop('level', ''):8}{event.pop('event', '')}"
    event.pop("logger", None)
    line += "".join(f" {name}={value!r}" for name, value in event.items())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return f"{line}\n{exception}" if exception else line
