"""Looks ahead: what other rules would make of the files there are, in slices, while everything else goes on."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

import trio

from onitufs.catalog import keys
from onitufs.catalog.records import unpack_name
from onitufs.drivers.progress import rest
from onitufs.model.copies import Copy
from onitufs.model.files import Kind, Name
from onitufs.model.ids import ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.model.state import Abilities, EntryView, FileState
from onitufs.referee.planning import Plan, Tally, planned
from onitufs.referee.rules import Rulebook
from onitufs.volume import Volume
from onitufs.volume.placements import Placements

from .facts import Facts
from .memory import Memory
from .placing import Placing

SLICE = 10  # files looked at before other tasks get a turn: about 1.5 ms
TELL_EVERY = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Rules and entries that are not in force yet.

    `abilities`: of the entries that may be written to. `known`: all entries. `renamed`: old name -> new name.
    """

    rulebook: Rulebook
    abilities: Mapping[EntryName, Abilities]
    known: frozenset[EntryName]
    rules: tuple[str, ...]  # their sources
    renamed: Mapping[EntryName, EntryName] = field(default_factory=dict)


async def looked_ahead(placing: Placing, outlook: Outlook) -> AsyncIterator[int | Plan]:
    """How many files were looked at, now and then, and last the Plan."""
    ahead = Ahead(placing, outlook)
    plan = Plan(sorted(outlook.known), outlook.rules)
    looked_at, after = 0, b""
    while rows := placing.volume.catalog.scan(keys.NAME, after, SLICE):
        began_s = trio.current_time()
        for key, value in rows:
            ahead.add(plan, FileId(keys.number(key)), unpack_name(value))
        after = rows[-1][0]
        before, looked_at = looked_at, looked_at + len(rows)
        if before // TELL_EVERY != looked_at // TELL_EVERY:
            yield looked_at
        await rest(placing.pace, trio.current_time() - began_s)
    yield plan


class Ahead:
    """One file as the Referee would see it, if an Outlook were in force."""

    def __init__(self, placing: Placing, outlook: Outlook) -> None:
        self._volume = placing.volume
        self._placements = placing.placements
        self._outlook = outlook
        self._facts = Facts(placing.volume, placing.placements, outlook.rulebook, outlook.abilities, Memory())

    def add(self, plan: Plan, file: FileId, name: Name) -> None:
        """Count one file in. A directory comes and goes with what is in it: it counts only for what rules cover."""
        if file == ROOT_FILE or name.kind is Kind.SPECIAL:
            return
        state = self.state(file, name)
        if state.verdict is not None:
            plan.matched(reason.source for reason in state.verdict.reasons)
        if name.kind is not Kind.DIRECTORY:
            plan.add(self._volume.path(file) or b"?", state, planned(state, self._outlook.known))

    def state(self, file: FileId, name: Name) -> FileState:
        """A file as it is now, under the other rules."""
        copies = self._copies(file)
        if not name.alive:
            return FileState(file=file, kind=name.kind, alive=False, views=self._views((), copies))
        inode = self._volume.peek(name.inode)
        directory = self._volume.directory_path(name.parent)
        verdict = self._facts.verdict(directory + b"/" + name.name, inode)
        return FileState(
            file=file,
            kind=name.kind,
            alive=True,
            generation=GenerationId(0) if name.kind is Kind.DIRECTORY else inode.generation,
            complete=not inode.incomplete,
            absent=inode.absent,
            size=inode.sealed_size,
            target=inode.target,
            place=self._facts.wanted_place(file),
            depth=directory.count(b"/"),
            verdict=verdict,
            views=self._views(verdict.targets, copies),
        )

    def _copies(self, file: FileId) -> dict[EntryName, Copy]:
        renamed = self._outlook.renamed
        copies = self._placements.of(file)
        return {renamed.get(name, name): replace(copy, entry=renamed.get(name, name)) for name, copy in copies.items()}

    def _views(self, targets: tuple[EntryName, ...], copies: dict[EntryName, Copy]) -> dict[EntryName, EntryView]:
        views: dict[EntryName, EntryView] = {}
        for entry in dict.fromkeys((*targets, *copies)):
            can = self._outlook.abilities.get(entry)
            views[entry] = EntryView(
                entry=entry, ours=can is not None, abilities=can or Abilities(), copy=copies.get(entry)
            )
        return views


async def last_copies(volume: Volume, placements: Placements, entry: EntryName, known: frozenset[EntryName]) -> Tally:
    """Which living files no entry of `known` holds as they are now, while `entry` does."""
    tally, after = Tally(), b""
    while rows := placements.on(entry, after, SLICE):
        after = rows[-1][0]
        for _, file in rows:
            name = volume.name(file)
            if name is None or not name.alive or name.kind is Kind.DIRECTORY:
                continue
            inode = volume.peek(name.inode)
            current = {copy.entry for copy in placements.of(file).values() if copy.generation == inode.generation}
            if entry in current and current.isdisjoint(known):
                tally.add(volume.path(file) or b"?", inode.size)
        await trio.lowlevel.checkpoint()
    return tally
