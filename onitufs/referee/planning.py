"""What rules would make of the files there are: added up, an entry at a time, before anything is done.

What is wanted is decided here by the same functions as in reconcile.py, so a plan and what happens then cannot differ.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from onitufs.model.ids import EntryName
from onitufs.model.state import EntryView, FileState

from .reconcile import can_hold, is_current, is_wanted, required_entries

EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is to come for one file, as entries.

    `copied`: are to get it, or its newest generation. `moved`: have it under another name. `trashed`: have it and are
    not to. `found`: it was found there, no rule wants it there, and it stays. `left`: have it and are in the setup no
    more. `last`: those of `left` without which no entry has what the file is now. `cannot`: are named by rules, and
    cannot hold such a thing. `missing`: how many copies fewer than the rules ask for there can be.
    `only_here`: no entry is to have it.
    """

    copied: tuple[EntryName, ...] = ()
    moved: tuple[EntryName, ...] = ()
    trashed: tuple[EntryName, ...] = ()
    found: tuple[EntryName, ...] = ()
    left: tuple[EntryName, ...] = ()
    last: tuple[EntryName, ...] = ()
    cannot: tuple[EntryName, ...] = ()
    missing: int = 0
    only_here: bool = False


def planned(state: FileState, known: Collection[EntryName]) -> Planned:
    """What is to come for a file or link. `known`: the entries of the setup, whatever their mode."""
    holders = [view for view in state.views.values() if view.copy is not None]
    left = tuple(view.entry for view in holders if view.entry not in known)
    if not state.alive:
        return Planned(trashed=tuple(view.entry for view in holders if view.ours), left=left)
    required = required_entries(state)
    current = {view.entry for view in holders if view.copy is not None and is_current(state, view.copy)}
    ours = [view for view in state.views.values() if view.ours]
    wanted = [view.entry for view in ours if is_wanted(state, view, required)]
    verdict = state.verdict
    targets = verdict.targets if verdict is not None else ()
    copies = verdict.copies if verdict is not None else None
    return Planned(
        copied=tuple(name for name in wanted if name not in current),
        moved=tuple(name for name in wanted if name in current and _stands_elsewhere(state, state.views[name])),
        trashed=tuple(view.entry for view in ours if view.copy is not None and view.entry not in wanted),
        found=tuple(name for name in wanted if name not in required),
        left=left,
        last=tuple(name for name in left if name in current) if current.isdisjoint(known) else (),
        cannot=tuple(name for name in targets if not can_hold(state, state.views.get(name))),
        missing=max(0, (copies or 0) - len(required)),
        only_here=not required,
    )


def _stands_elsewhere(state: FileState, view: EntryView) -> bool:
    return view.copy is not None and view.copy.place != state.place


@dataclass(slots=True)
class Tally:
    """How many files, of how many bytes together, and the first few paths."""

    files: int = 0
    size: int = 0
    examples: list[bytes] = field(default_factory=list)

    def add(self, path: bytes, size: int) -> None:
        self.files += 1
        self.size += size
        if len(self.examples) < EXAMPLES:
            self.examples.append(path)


@dataclass(slots=True)
class OfEntry:
    """What is to come on one entry; see Planned."""

    copied: Tally = field(default_factory=Tally)
    moved: Tally = field(default_factory=Tally)
    trashed: Tally = field(default_factory=Tally)
    found: Tally = field(default_factory=Tally)
    left: Tally = field(default_factory=Tally)
    last: Tally = field(default_factory=Tally)
    cannot: Tally = field(default_factory=Tally)


class Plan:
    """Adds up what is to come. `entries`: those of the setup; `rules`: sources of its rules, in order."""

    def __init__(self, entries: Iterable[EntryName], rules: Iterable[str]) -> None:
        self.entries = {name: OfEntry() for name in entries}
        self.rules = dict.fromkeys(rules, 0)
        self.only_here = Tally()
        self.missing = Tally()
        self.files = 0

    def add(self, path: bytes, state: FileState, planned: Planned) -> None:
        """Count one file in."""
        if state.alive:
            self.files += 1
        if planned.only_here:
            self.only_here.add(path, state.size)
        if planned.missing:
            self.missing.add(path, state.size)
        for kind in ("copied", "moved", "trashed", "found", "left", "last", "cannot"):
            for name in getattr(planned, kind):
                view = state.views.get(name)
                held = kind not in ("copied", "cannot") and view is not None and view.copy is not None
                size = view.copy.size if held and view is not None and view.copy is not None else state.size
                tally: Tally = getattr(self.entries.setdefault(name, OfEntry()), kind)
                tally.add(path, size)

    def matched(self, sources: Iterable[str]) -> None:
        """Rules covered a file or directory."""
        for source in sources:
            if source in self.rules:
                self.rules[source] += 1
