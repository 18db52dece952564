"""Copies: what each entry is known to hold, and what stands where on it."""

from collections.abc import Callable, Iterable

from onitufs.catalog import keys
from onitufs.catalog.records import pack_copy, unpack_copy
from onitufs.catalog.store import Catalog
from onitufs.model.copies import Copy, Place
from onitufs.model.errors import Gone
from onitufs.model.ids import PARKING, ROOT_FILE, EntryName, FileId

from .tree import Changes


class Placements:
    """The Copies in a Catalog, by file and by place on an entry. Plain calls; nothing waits.

    `written` is told of each file of which a Copy is about to be committed as another one, or gone; whoever it wakes
    finds that done.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.written: Callable[[FileId], None] = lambda file: None

    def of(self, file: FileId) -> dict[EntryName, Copy]:
        """A file's Copies by entry, also on entries that the setup no longer names."""
        found = (unpack_copy(value) for _, value in self._catalog.scan(keys.copies(file)))
        return {copy.entry: copy for copy in found}

    def get(self, file: FileId, entry: EntryName) -> Copy | None:
        value = self._catalog.get(keys.copy(file, entry))
        return None if value is None else unpack_copy(value)

    def at(self, entry: EntryName, place: Place) -> Copy | None:
        """The Copy that stands at a place on an entry."""
        value = self._catalog.get(keys.remote(entry, place.parent, place.name))
        return None if value is None else self.get(FileId(keys.number(value, 0)), entry)

    def known_as(self, entry: EntryName, remote_id: str) -> Copy | None:
        """The Copy of the object that has this id on the entry, wherever it stands."""
        value = self._catalog.get(keys.remote_id(entry, remote_id)) if remote_id else None
        copy = None if value is None else self.get(FileId(keys.number(value, 0)), entry)
        return copy if copy is not None and copy.remote_id == remote_id else None

    def child(self, entry: EntryName, directory: FileId) -> FileId | None:
        """One file whose Copy stands in this directory on the entry."""
        rows = self._catalog.scan(keys.remotes(entry, directory), limit=1)
        return FileId(keys.number(rows[0][1], 0)) if rows else None

    def children(self, entry: EntryName, directory: FileId) -> list[Copy]:
        """The Copies that stand in this directory on the entry, all of them."""
        rows = self._catalog.scan(keys.remotes(entry, directory), limit=10_000_000)
        found = (self.get(FileId(keys.number(value, 0)), entry) for _, value in rows)
        return [copy for copy in found if copy is not None]

    def standing_in(
        self, entry: EntryName, directory: FileId, after: bytes = b"", limit: int = 500
    ) -> list[tuple[bytes, FileId]]:
        """Up to `limit` file ids whose Copies stand in a directory, by name; `after`: the last key given, to go on."""
        prefix = keys.remotes(entry, directory)
        rows = self._catalog.scan(prefix, after or prefix, limit)
        return [(key, FileId(keys.number(value, 0))) for key, value in rows]

    def on(self, entry: EntryName, after: bytes = b"", limit: int = 500) -> list[tuple[bytes, FileId]]:
        """Up to `limit` file ids with a Copy on the entry; `after`: the last key given, to go on."""
        prefix = keys.remotes(entry, FileId(0))[:-8]
        rows = self._catalog.scan(prefix, after or prefix, limit)
        return [(key, FileId(keys.number(value, 0))) for key, value in rows]

    def path(self, entry: EntryName, place: Place) -> tuple[bytes, ...]:
        """Where a place is below the entry's root, now. Raises Gone if a directory above it has no Copy there."""
        parts = [place.name]
        parent = place.parent
        while parent not in (ROOT_FILE, PARKING):
            above = self.get(parent, entry)
            if above is None:
                raise Gone(f"a directory above {place.name!r} is not on {entry}")
            parts.append(above.place.name)
            parent = above.place.parent
        if parent == PARKING:
            parts += [b"parked", b".onitufs"]
        return tuple(reversed(parts))

    def write(self, changes: Changes, *, removed: Iterable[Copy] = (), put: Iterable[Copy] = ()) -> None:
        """Add to `changes` that some Copies are gone and that others are now as given, by file and by place."""
        put = list(put)
        for copy in [*removed, *(old for new in put if (old := self.get(new.file, new.entry)) is not None)]:
            self.written(copy.file)
            place = keys.remote(copy.entry, copy.place.parent, copy.place.name)
            here = self._catalog.get(place)
            if here is not None and keys.number(here, 0) == copy.file:
                changes[place] = None
            changes[keys.copy(copy.file, copy.entry)] = None
            if copy.remote_id:
                known = keys.remote_id(copy.entry, copy.remote_id)
                if self._catalog.get(known) == copy.file.to_bytes(8, "big"):
                    changes[known] = None
        for copy in put:
            changes[keys.copy(copy.file, copy.entry)] = pack_copy(copy)
            changes[keys.remote(copy.entry, copy.place.parent, copy.place.name)] = copy.file.to_bytes(8, "big")
            if copy.remote_id:
                changes[keys.remote_id(copy.entry, copy.remote_id)] = copy.file.to_bytes(8, "big")
