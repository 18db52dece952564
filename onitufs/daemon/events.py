"""What happens, as it happens, for whoever listens: told off the path of programs, and never waited for.

An event is a JSON-ready dict: `time` (RFC 3339 UTC, ms), `event` (docs/operations.md lists them), and what it is about.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio

from onitufs.drivers.health import Health
from onitufs.model.ids import PARKING, EntryName, FileId
from onitufs.model.orders import Delete, Done, Move, Put
from onitufs.volume import Volume
from onitufs.volume.placements import Placements

from .conflicts import Conflicts
from .service import Answer
from .telling import moment, path_fields

RECENT = 1000  # kept for who asks later
MOST_WAITING = 1000  # for one listener, beside what its socket holds

_OF_CHANGES = {  # why a file is unsettled -> what a person calls it
    "content": "saved",
    "recovered": "saved",
    "made": "made",
    "renamed": "renamed",
    "attributes": "attributes",
    "deleted": "deleted",
    "restored": "restored",
    "found": "arrived",
    "overtaken": "saved",
}


@dataclass(slots=True)
class Event:
    """What happened, as cheap as it can be kept. `about`: JSON-ready."""

    at_ns: int  # wall clock
    what: str
    path: bytes | None
    about: dict[str, object]

    def told(self) -> Answer:
        told: Answer = {"time": moment(self.at_ns, "milliseconds"), "event": self.what}
        return told | (path_fields(self.path) if self.path is not None else {}) | self.about


class Listener:
    """Holds events until they are taken; what is too much is counted instead, and that is told in its place."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._lost = 0
        self._lost_at_ns = 0  # when the last one of them happened
        self._arrived = trio.Event()

    def offer(self, event: Event) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
            self._lost_at_ns = event.at_ns
            return
        if self._lost:
            self._waiting.append(self._what_was_lost())
        self._waiting.append(event)
        self._arrived.set()

    async def next(self) -> Event:
        """The next event, or {"lost": n} in place of those for which there was no room."""
        while not self._waiting and not self._lost:
            self._arrived = trio.Event()
            await self._arrived.wait()
        if self._waiting:
            return self._waiting.popleft()
        return self._what_was_lost()

    def _what_was_lost(self) -> Event:
        lost, self._lost = self._lost, 0
        return Event(self._lost_at_ns, "lost", None, {"lost": lost})


class Events:
    """All methods are for the loop. Telling costs some us, which no program waits for."""

    def __init__(self, volume: Volume, placements: Placements) -> None:
        self._volume = volume
        self._placements = placements
        self._conflicts = Conflicts(volume)
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._listeners: set[Listener] = set()

    # -- telling -----------------------------------------------------------------------------------------------------

    def tell(self, event: str, file: FileId | None = None, **about: object) -> None:
        """Something happened; `file`: to which."""
        path = None if file is None else self._volume.path(file) or b"?"
        told = Event(self._volume.now_ns(), event, path, about)
        self._recent.append(told)
        for listener in self._listeners:
            listener.offer(told)

    def changed(self, file: FileId, why: str) -> None:
        """A file changed in the mount; `why` as its unsettled record says."""
        event = _OF_CHANGES.get(why)
        if event == "renamed" and not self._placements.of(file):
            event = "saved"  # as programs do it: written under another name first
        if event == "arrived":
            self.tell(event, file, entry=self._whence(file))
        elif event is not None:
            self.tell(event, file)
        if why in ("found", "overtaken") and (conflict := self._conflicts.get(file)) is not None:
            self.tell("conflict", conflict.original or file, entry=conflict.entry, kept=self._name(file))

    def _whence(self, file: FileId) -> str:
        """The entry that has what a file is now."""
        name = self._volume.name(file)
        newest = 0 if name is None or not name.alive else self._volume.peek(name.inode).generation
        copies = self._placements.of(file).values()
        return next((copy.entry for copy in copies if copy.generation == newest), "")

    def _name(self, file: FileId) -> str:
        return (self._volume.path(file) or b"?").rpartition(b"/")[2].decode(errors="replace")

    def done(self, done: Done) -> None:
        """An entry confirmed an order."""
        order = done.order
        if isinstance(order, Put):
            self.tell("placed", order.file, entry=order.entry, bytes=order.size)
        elif isinstance(order, Move) and order.place.parent != PARKING:
            self.tell("moved", order.file, entry=order.entry)
        elif isinstance(order, Delete) and not done.remains:
            self.tell("removed", order.file, entry=order.entry)
        if done.kept:
            self.tell("conflict", order.file, entry=order.entry, kept=done.kept.decode(errors="replace"))

    def entry(self, name: EntryName, health: Health) -> None:
        """An entry's health changed."""
        self.tell("entry", entry=name, health=health.state, message=health.message, remedy=health.remedy)

    # -- listening ---------------------------------------------------------------------------------------------------

    async def follow(self, recent: int, *, go_on: bool) -> AsyncIterator[Answer]:
        """The last `recent` events and, if it is to `go_on`, all that come, without a gap between the two."""
        listener = Listener()
        before = list(self._recent)[-recent:] if recent else []
        if go_on:
            self._listeners.add(listener)
        try:
            for event in before:
                yield event.told()
            while go_on:
                yield (await listener.next()).told()
        finally:
            self._listeners.discard(listener)
