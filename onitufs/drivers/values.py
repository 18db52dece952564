"""Typed values of driver options, read strictly from JSON. (Sizes and durations: onitufs.model.units.)

Raises ValueError with a line that says what would be right.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from onitufs.model import secrets


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
