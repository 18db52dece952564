"""Emptying an entry: every file there goes where else the rules want it, as if each of them banned this entry."""

import logging
from collections.abc import AsyncIterator

import trio

from onitufs.catalog import keys
from onitufs.model.errors import NotPossible
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_INODE, EntryName
from onitufs.referee.planning import Tally
from onitufs.referee.reconcile import required_entries

from .entries import Entries
from .planning import SLICE, Ahead
from .service import Answer
from .setups import Setups

LOOK_S = 1.0  # how often what is left is counted, at the most
COUNTED = 2000  # Copies counted before other tasks get a turn

log = logging.getLogger(__name__)


class Draining:
    """What is being drained is in the catalog, and in Entries.drained."""

    def __init__(self, entries: Entries, setups: Setups) -> None:
        self._entries = entries
        self._setups = setups
        self._placing = entries.joined
        self._volume = self._placing.volume

    async def drain(self, entry: EntryName, *, local: bool) -> AsyncIterator[Answer]:
        """As service.Service.drain says; the entry exists."""
        if entry not in self._entries.drained:
            if not local:
                await self._need_other_entries(entry)
            self._set(entry, drained=True)
        of = None
        while (left := await self._left(entry)) and entry in self._entries.drained:
            of = of or left
            health = self._placing.plugs[entry].health if entry in self._placing.plugs else None
            yield {
                "left": left,
                "of": max(of, left),
                "health": health.state if health is not None else "",
                "message": health.message if health is not None else "",
                "remedy": health.remedy if health is not None else "",
            }
            with trio.move_on_after(LOOK_S):
                await trio.sleep_forever() if self._placing.idle else await self._placing.progress()
        yield {"done": not left, "entry": entry, "left": left}

    def concerns(self, entry: EntryName) -> bool:
        """Whether the entry is being emptied."""
        return entry in self._entries.drained

    def stop(self, entry: EntryName) -> None:
        """Let the rules have their way with the entry again."""
        self._set(entry, drained=False)

    def _set(self, entry: EntryName, *, drained: bool) -> None:
        if (entry in self._entries.drained) == drained:
            return
        key = keys.meta(f"drain:{entry}")
        self._volume.catalog.commit({key: b"" if drained else None, keys.subtree(ROOT_INODE): b""})
        self._entries.drained = self._entries.drained | {entry} if drained else self._entries.drained - {entry}
        self._entries.use_rules(self._setups.setup)
        self._placing.ask_tree()
        log.info(
            "an entry is to be emptied" if drained else "an entry is no more to be emptied", extra={"entry": entry}
        )

    async def _need_other_entries(self, entry: EntryName) -> None:
        """Raises NotPossible if files of the entry would have fewer copies than the rules ask for."""
        outlook = self._setups.outlook(self._setups.setup, self._entries.drained | {entry})
        ahead = Ahead(self._placing, outlook)
        placements, short, after = self._placing.placements, Tally(), b""
        while rows := placements.on(entry, after, SLICE):
            after = rows[-1][0]
            for _, file in rows:
                name = self._volume.name(file)
                if name is None or not name.alive or name.kind is Kind.DIRECTORY:
                    continue
                state = ahead.state(file, name)
                required = required_entries(state)
                copies = state.verdict.copies if state.verdict is not None else None
                if not required or len(required) < (copies or 0):
                    short.add(self._volume.path(file) or b"?", state.size)
            await trio.lowlevel.checkpoint()
        if short.files:
            example = short.examples[0].decode(errors="backslashreplace")
            count = "a file" if short.files == 1 else f"{short.files} files"
            raise NotPossible(
                f"{count} on {entry} (such as {example}) would be left without the copies that the rules ask for: name "
                f"other entries for them in the setup, or keep them on this machine alone by --local"
            )

    async def _left(self, entry: EntryName) -> int:
        count, after = 0, b""
        while rows := self._placing.placements.on(entry, after, COUNTED):
            count, after = count + len(rows), rows[-1][0]
            await trio.lowlevel.checkpoint()
        return count
