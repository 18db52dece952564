"""A user's rules, checked and in the units that the Referee works with."""

from dataclasses import dataclass

from .ids import EntryName


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a rule covers: every condition that is set must hold; within a list, one is enough.

    Paths are text with undecodable bytes as surrogates. `paths`: prefixes at component boundaries, each beginning with
    "/"; one that ends in "/" does not cover that directory itself. `globs`: see globs.py. `media_types`:
    lower case, a part may be "*". Sizes in bytes and ages in seconds, both ends included.
    """

    paths: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    size_min: int | None = None
    size_max: int | None = None
    age_min_s: float | None = None
    age_max_s: float | None = None

    @property
    def looks_into_files(self) -> bool:
        """Whether it has a condition that only files can meet, so that it never covers a directory."""
        return bool(self.media_types) or self.looks_at_size or self.looks_at_age

    @property
    def looks_at_size(self) -> bool:
        return self.size_min is not None or self.size_max is not None

    @property
    def looks_at_age(self) -> bool:
        return self.age_min_s is not None or self.age_max_s is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. What it covers gets `sync`, then loses `ban`; `local` takes every entry away that was named so far.

    `copies`: how many of all entries named for a file must hold it; the last matching rule that says so decides.
    `source`: where it stands in the setup, e.g. "rules[1]".
    """

    match: Match
    sync: tuple[EntryName, ...] = ()
    ban: tuple[EntryName, ...] = ()
    local: bool = False
    copies: int | None = None
    source: str
