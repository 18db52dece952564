"""Typed values of driver options, read strictly from JSON: sizes, durations, paths, secrets.

Own code because every library tried had a silent case ("1,5 GB" read as one byte, "-5m" taken). Raises ValueError with
a line that says what would be right.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from onitufs.model import secrets

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kKMGT]?B|[KMGT]iB)?")
_SIZE_UNITS = {"": 1, "B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}
_SIZE_UNITS |= {"KIB": 1024, "MIB": 1024**2, "GIB": 1024**3, "TIB": 1024**4}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|min|m|h|d)")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def string(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("not text")


def integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("not a whole number")


def boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("not true or false")


def size(value: object) -> int:
    """Bytes: a whole number, or text such as "100 MB" (powers of 1000) or "1 GiB" (powers of 1024)."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        return round(float(match[1]) * _SIZE_UNITS[(match[2] or "").upper()])
    raise ValueError('not a size; write a number of bytes, or text such as "100 MB" or "1 GiB"')


def duration(value: object) -> float:
    """Seconds: a number, or text such as "500 ms", "90 s", "5 min", "2 h", "30 d"."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return float(match[1]) * _DURATION_UNITS[match[2]]
    raise ValueError('not a duration; write a number of seconds, or text such as "90 s", "5 min" or "2 h"')


def path(value: object, base: Path) -> Path:
    """An absolute path; a relative one is taken from `base`, "~" from the home directory. Links are not resolved."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("not a path; write text")
    try:
        return Path(os.path.normpath(base / Path(value).expanduser()))
    except RuntimeError as exc:
        raise ValueError(f"not a path: {exc}") from exc


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is kept. The value is read at each use and never stored, shown or logged."""

    kind: str  # "env" or "file"
    name: str

    def reveal(self) -> str:
        """The secret. Raises ValueError, naming the place, if there is none."""
        if self.kind == "env":
            value = os.environ.get(self.name, "")
        else:
            try:
                value = Path(self.name).read_text(encoding="utf-8").rstrip("\n")
            except (OSError, UnicodeDecodeError) as exc:
                raise ValueError(f"cannot read the secret in file {self.name}: {exc}") from exc
        if not value:
            raise ValueError(f"there is no secret in {self.kind} {self.name}")
        secrets.hide(value)
        return value


def secret(value: object, base: Path) -> Secret:
    """A reference to a secret: {"env": "NAME"} or {"file": "PATH"}."""
    if isinstance(value, dict) and len(value) == 1:
        kind, name = next(iter(value.items()))
        if kind in ("env", "file") and isinstance(name, str) and name:
            return Secret(kind, name if kind == "env" else str(path(name, base)))
    raise ValueError('not a secret reference; write {"env": "NAME"} or {"file": "PATH"}, never the secret itself')
