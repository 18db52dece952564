"""Conflicts nobody has decided yet: which files are one side of one, and where the other side is."""

from dataclasses import dataclass

from onitufs.catalog import keys
from onitufs.catalog.records import ConflictedCopy, pack_conflicted_copy, unpack_conflicted_copy
from onitufs.model.conflict_names import read_conflict_name
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName, FileId
from onitufs.volume import Volume
from onitufs.volume.tree import Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConflict:
    """`file` is kept beside `original` (None: there is none any more). `since_ns`: wall clock."""

    file: FileId
    original: FileId | None
    entry: EntryName
    since_ns: int


class Conflicts:
    """The conflicts in a volume's catalog. Holds no state of its own: any number may be made."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def note(self, changes: Changes, file: FileId, entry: EntryName, original: FileId | None) -> None:
        """Add to `changes` that `file` was kept, under a name that says so, beside `original`."""
        record = ConflictedCopy(original or FileId(0), entry, self._volume.now_ns())
        changes[keys.conflict(file)] = pack_conflicted_copy(record)

    def clear(self, changes: Changes, file: FileId) -> None:
        """Add to `changes` that somebody chose, or that both are to stay."""
        changes[keys.conflict(file)] = None

    def get(self, file: FileId) -> OpenConflict | None:
        """The conflict that this kept file is one side of."""
        value = self._volume.catalog.get(keys.conflict(file))
        return None if value is None else self._read(file, value)

    def all(self) -> list[OpenConflict]:
        """Every open one, the oldest first; those that ended by a delete or a rename are cleared by the way."""
        found: list[OpenConflict] = []
        ended: Changes = {}
        after = b""
        while rows := self._volume.catalog.scan(keys.CONFLICT, after):
            for key, value in rows:
                conflict = self._read(FileId(keys.number(key)), value)
                if conflict is None:
                    ended[key] = None
                else:
                    found.append(conflict)
            after = rows[-1][0]
        if ended:
            self._volume.catalog.commit(ended)
        return sorted(found, key=lambda conflict: conflict.since_ns)

    def _read(self, file: FileId, value: bytes) -> OpenConflict | None:
        """None: it ended, because the file is gone or bears a name that somebody chose for it."""
        name = self._volume.name(file)
        if name is None or not name.alive or read_conflict_name(name.name) is None:
            return None
        record = unpack_conflicted_copy(value)
        return OpenConflict(
            file=file, original=self._original(file, record), entry=record.entry, since_ns=record.since_ns
        )

    def _original(self, file: FileId, record: ConflictedCopy) -> FileId | None:
        """The other side: the file of the record or, as programs save by delete and create, what has its name now."""
        if record.original:
            name = self._volume.name(record.original)
            if name is not None and name.alive:
                return record.original
        kept = self._volume.name(file)
        read = read_conflict_name(kept.name) if kept is not None else None
        if kept is None or read is None:
            return None
        there = self._volume.dirent(kept.parent, read[0])
        return there.file if there is not None and there.kind is not Kind.DIRECTORY else None
