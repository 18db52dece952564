"""Typed values of driver options, read strictly from JSON. (Sizes and durations: onitufs.model.units.)

Raises ValueError with a line that says what would be right.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from onitufs.model import secrets

from . import keyrings


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
    """Where a secret is kept. The value is read at each use and never stored, shown or logged by us."""

    kind: str  # "env", "file" or "keyring"
    name: str

    def reveal(self) -> str:
        """The secret. Raises ValueError, naming the place, if there is none."""
        if self.kind == "env":
            value = os.environ.get(self.name, "")
        elif self.kind == "keyring":
            value = keyrings.read(self.name)
        else:
            try:
                value = Path(self.name).read_text(encoding="utf-8").rstrip("\n")
            except (OSError, UnicodeDecodeError) as exc:
                raise ValueError(f"cannot read the secret in file {self.name}: {exc}") from exc
        if not value:
            raise ValueError(f"there is no secret in {self.kind} {self.name}")
        secrets.hide(value)
        return value

    def store(self, value: str) -> None:
        """Keep another secret there, for this user alone. Raises ValueError, naming the place, if that cannot be."""
        secrets.hide(value)
        if self.kind == "env":
            raise ValueError(
                f"nothing can be stored in env {self.name}; "
                'refer to the secret as {"file": "PATH"} or {"keyring": "NAME"} in the setup'
            )
        if self.kind == "keyring":
            keyrings.write(self.name, value)
            return
        try:
            _write_private(Path(self.name), value + "\n")
        except OSError as exc:
            raise ValueError(f"cannot store the secret in file {self.name}: {exc.strerror or exc}") from exc


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step by one that nobody but us may read, whatever the old one's mode was."""
    os.makedirs(path.parent, 0o700, exist_ok=True)
    fd, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # which makes it 0600
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def secret(value: object, base: Path) -> Secret:
    """A reference to a secret: {"env": "NAME"}, {"file": "PATH"} or {"keyring": "NAME"}."""
    if isinstance(value, dict) and len(value) == 1:
        kind, name = next(iter(value.items()))
        if kind in ("env", "file", "keyring") and isinstance(name, str) and name:
            return Secret(kind, str(path(name, base)) if kind == "file" else name)
    raise ValueError(
        'not a secret reference; write {"env": "NAME"}, {"file": "PATH"} or {"keyring": "NAME"}, '
        "never the secret itself"
    )
