"""A setup that was read, checked and found right."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from onitufs.model.bandwidth import UNLIMITED, Bandwidth
from onitufs.model.ids import EntryName
from onitufs.model.rules import Rule

from .scanners import HEAD_BYTES

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySetup:
    """One entry. `options` are as written; the driver's manifest says what they mean.

    A value such as {"env": NAME} in them refers to a secret. `velocity`: 0 to 1, None: what the driver's
    manifest says.
    """

    name: EntryName
    driver: str
    options: Mapping[str, JSON]
    mode: Literal["rw", "r", "w"] = "rw"
    velocity: float | None = None
    bandwidth: Bandwidth = UNLIMITED

    @property
    def writable(self) -> bool:
        """Whether files are placed there: not in mode "r"."""
        return self.mode != "r"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a setup file says. `path` is absolute. `never`: globs of what is never placed, defaults worked in."""

    name: str
    path: Path
    entries: tuple[EntrySetup, ...]
    rules: tuple[Rule, ...]
    never: tuple[str, ...]
    quota: int | None = None  # bytes that the local store may take
    history_s: float = 30 * 86400.0  # how long what was replaced, truncated or deleted is kept; 0: not at all
    history_bytes: int = 10 << 30  # what all of it may take
    scanners: tuple[str, ...] = ()  # globs of names of processes that read everything
    scanner_head: int = HEAD_BYTES  # bytes that they get of a file that is not here

    @property
    def base(self) -> Path:
        """The directory of the setup file: what relative paths in it are relative to."""
        return self.path.parent

    def fingerprint(self) -> str:
        """Equal for two setups that place every file alike: of entries, modes, rules and the never-placed list."""
        placed = [[[entry.name, entry.driver, entry.mode] for entry in self.entries], self.never]
        return json.dumps([*placed, [repr(rule) for rule in self.rules]], sort_keys=True)
