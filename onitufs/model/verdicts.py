"""What the rules are asked, and what they answer."""

from dataclasses import dataclass

from .files import Kind
from .ids import EntryName


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The facts of one file that rules may look at. `path` is absolute in the mount, e.g. b"/a/b.txt"; b"/" the root.

    `size` and `media_type` are None where unknown or meaningless (directories); `age_s` is now minus mtime.
    """

    path: bytes
    kind: Kind
    size: int | None = None
    media_type: str | None = None
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one rule, or one default, had its effect. `source` is a JSON path in the setup, e.g. "rules[1]"."""

    source: str
    text: str
    added: tuple[EntryName, ...] = ()
    removed: tuple[EntryName, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where one file belongs. `targets` in the order the rules named them; empty: kept here only.

    `copies` limits how many of `targets` must hold it (None: all). `never` is true where the never-placed list decided.
    `banned`: where it must not be even if it was found there.
    """

    targets: tuple[EntryName, ...]
    reasons: tuple[Reason, ...]
    copies: int | None = None
    never: bool = False
    banned: frozenset[EntryName] = frozenset()
