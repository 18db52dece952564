"""Orders that began are noted before they change an entry, so that after a crash what they left is known as ours.

Without this, a file that was placed but not yet recorded as placed would look like somebody else's at the next start,
as soon as it was changed, renamed or removed in the mount in between.
"""

from collections.abc import Callable

from onitufs.catalog import keys
from onitufs.catalog.records import Intent, pack_intent, unpack_intent
from onitufs.drivers.unfinished import Unfinished
from onitufs.model.copies import Place
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName, FileId
from onitufs.model.orders import Move, Order, Put
from onitufs.volume import Volume
from onitufs.volume.placements import Placements
from onitufs.volume.tree import Changes

from .memory import Memory


class Intents:
    """The notes in the catalog. Puts of files and links, and Moves, have one; what else there is may be repeated.

    `put_place`: where an order makes a directory that is missing; see referee.ledger.Copies.
    """

    def __init__(
        self,
        volume: Volume,
        placements: Placements,
        memory: Memory,
        put_place: Callable[[EntryName, FileId], Place | None],
    ) -> None:
        self._volume = volume
        self._placements = placements
        self._memory = memory
        self._put_place = put_place

    def note(self, order: Order) -> None:
        """The order begins now. Raises OSError."""
        kind: Kind
        if isinstance(order, Put) and order.kind is not Kind.DIRECTORY:
            kind, generation, size, mtime_ns = order.kind, order.generation, order.size, order.mtime_ns
            mode, target = order.mode, order.target
        elif isinstance(order, Move):
            copy = order.copy
            kind, generation, size, mtime_ns = copy.kind, copy.generation, copy.size, copy.mtime_ns
            mode, target = copy.mode, b""
        else:
            return
        unmade = [d for d in order.missing if self._placements.get(d, order.entry) is None]
        places = [(directory, self._put_place(order.entry, directory)) for directory in unmade]
        missing = tuple((directory, place) for directory, place in places if place is not None)
        assert len(missing) == len(unmade), "an order that fits makes living directories only"
        intent = Intent(
            file=order.file,
            moves=isinstance(order, Move),
            kind=kind,
            place=order.place,
            generation=generation,
            size=size,
            mtime_ns=mtime_ns,
            mode=mode,
            target=target,
            path=self._path(order.entry, order.place, dict(missing)),
            missing=missing,
        )
        self._volume.catalog.commit({keys.intent(order.entry, order.file): pack_intent(intent)})

    def drop(self, changes: Changes, order: Order) -> None:
        """Add to `changes` that the order's end is known."""
        key = keys.intent(order.entry, order.file)
        if self._volume.catalog.get(key) is not None:
            changes[key] = None

    def unfinished(self, entry: EntryName) -> list[Unfinished]:
        """What may have been carried out on the entry before a crash; counts as running from now on."""
        found = []
        after = b""
        while rows := self._volume.catalog.scan(keys.intents(entry), after):
            after = rows[-1][0]
            found += [self._again(entry, unpack_intent(value)) for _, value in rows]
        return found

    def _again(self, entry: EntryName, intent: Intent) -> Unfinished:
        had = self._placements.get(intent.file, entry)
        there = self._placements.at(entry, intent.place)
        replaces = there if there is not None and there.file != intent.file else None
        missing = tuple(directory for directory, _ in intent.missing)
        order: Put | Move
        if intent.moves and had is not None:
            order = Move(
                entry=entry, file=intent.file, copy=had, place=intent.place, replaces=replaces, missing=missing
            )
        else:
            order = Put(
                entry=entry,
                file=intent.file,
                kind=intent.kind,
                place=intent.place,
                generation=intent.generation,
                size=intent.size,
                mtime_ns=intent.mtime_ns,
                mode=intent.mode,
                target=intent.target,
                had=had,
                replaces=replaces,
                missing=missing,
            )
        self._memory.started(order)
        for directory, place in intent.missing:
            self._memory.given[entry, directory] = place
        return Unfinished(order=order, path=intent.path, size=intent.size, mtime_ns=intent.mtime_ns)

    def _path(self, entry: EntryName, place: Place, missing: dict[FileId, Place]) -> tuple[bytes, ...]:
        parts: list[bytes] = []
        while place.parent in missing:
            parts.append(place.name)
            place = missing[place.parent]
        return (*self._placements.path(entry, place), *reversed(parts))
