"""What the Referee is told about one file: read from the volume and the Copies, now, without waiting."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from onitufs.content.media_type import media_type
from onitufs.model.copies import Copy, Place
from onitufs.model.files import Inode, Kind, Name
from onitufs.model.ids import PARKING, ROOT_FILE, EntryName, FileId, GenerationId, InodeNumber
from onitufs.model.state import Abilities, EntryView, FileState, Occupant
from onitufs.model.verdicts import Subject, Verdict
from onitufs.referee.rules import Rulebook
from onitufs.volume import Volume
from onitufs.volume.placements import Placements

Remembered = Callable[[EntryView, FileId], EntryView]


class Facts:
    """Builds a FileState from the catalog. `entries`: what the entries that the setup names for writing can keep."""

    def __init__(
        self, volume: Volume, placements: Placements, rulebook: Rulebook, entries: Mapping[EntryName, Abilities]
    ) -> None:
        self.volume = volume
        self.placements = placements
        self.rulebook = rulebook
        self.entries = entries

    # -- rules -----------------------------------------------------------------------------------------------------

    def subject(self, path: bytes, inode: Inode) -> Subject:
        """What the rules may look at, of a file that is there. Reads its first bytes if a rule asks for the type."""
        kind = inode.kind
        if kind is not Kind.FILE:
            return Subject(path=path, kind=kind)
        looks = self.rulebook.looks_at
        kind_of_media = None
        if looks.media_type:
            kind_of_media = media_type(path.rpartition(b"/")[2], self.volume.head(inode))
        age_s = (self.volume.now_ns() - inode.mtime_ns) / 1e9 if looks.age else None
        return Subject(path=path, kind=kind, size=inode.sealed_size, media_type=kind_of_media, age_s=age_s)

    def verdict(self, path: bytes, inode: Inode) -> Verdict:
        return self.rulebook.decide(self.subject(path, inode))

    def next_look_s(self, file: FileId) -> float | None:
        """Seconds after which the rules may want something else of a living file only because it grew older."""
        if not self.rulebook.looks_at.age:
            return None
        name = self.volume.name(file)
        path = self.volume.path(file)
        if name is None or not name.alive or path is None:
            return None
        return self.rulebook.next_look_s(self.subject(path, self.volume.peek(name.inode)))

    # -- one file ----------------------------------------------------------------------------------------------------

    def state(self, file: FileId, name: Name, changed_s: float, remembered: Remembered) -> FileState:
        """The file as it is now. `remembered` adds to each view what only the memory of this run knows."""
        copies = self.placements.of(file)
        if not name.alive:
            views = self._views(file, name.kind, None, copies, copies, remembered)
            return FileState(file=file, kind=name.kind, alive=False, changed_s=changed_s, views=views)
        inode = self.volume.peek(name.inode)
        directory = self.volume.directory_path(name.parent)
        path = directory + b"/" + name.name
        place = Place(self._file_of(name.parent), name.name)
        verdict = self.verdict(path, inode)
        wanted = dict.fromkeys([*verdict.targets, *copies])
        return FileState(
            file=file,
            kind=name.kind,
            alive=True,
            generation=GenerationId(0) if name.kind is Kind.DIRECTORY else inode.generation,
            durable=self.volume.catalog.durable_seq >= (inode.generation or file),
            complete=not inode.incomplete,
            size=inode.sealed_size,
            mtime_ns=inode.mtime_ns,
            mode=inode.mode & 0o7777,
            target=inode.target,
            place=place,
            depth=directory.count(b"/"),
            changed_s=changed_s,
            verdict=verdict,
            views=self._views(file, name.kind, place, wanted, copies, remembered),
        )

    def _file_of(self, directory: InodeNumber) -> FileId:
        return self.volume.peek(directory).files[0]

    # -- one entry ---------------------------------------------------------------------------------------------------

    def _views(
        self,
        file: FileId,
        kind: Kind,
        place: Place | None,
        wanted: Iterable[EntryName],
        copies: Mapping[EntryName, Copy],
        remembered: Remembered,
    ) -> dict[EntryName, EntryView]:
        return {entry: remembered(self._view(file, kind, place, entry, copies.get(entry)), file) for entry in wanted}

    def _view(self, file: FileId, kind: Kind, place: Place | None, entry: EntryName, copy: Copy | None) -> EntryView:
        abilities = self.entries.get(entry)
        if abilities is None:
            return EntryView(entry=entry, ours=False, copy=copy)
        view = EntryView(entry=entry, abilities=abilities, copy=copy)
        if kind is Kind.DIRECTORY and copy is not None:
            view = replace(view, child=self.placements.child(entry, file))
        if place is None or (copy is not None and copy.place == place):
            return view
        missing, at = self._missing(entry, place)
        occupant = self.placements.at(entry, at)
        if occupant is not None and occupant.file != file:
            name = self.volume.name(occupant.file)
            view = replace(view, occupant=Occupant(copy=occupant, alive=name is not None and name.alive))
        view = replace(view, missing=missing)
        if copy is not None:
            view = replace(view, in_the_way=self._in_the_way(file, copy))
            if kind is Kind.DIRECTORY:
                view = replace(view, below_itself=self._below(entry, at.parent, file))
        return view

    def _missing(self, entry: EntryName, place: Place) -> tuple[tuple[FileId, ...], Place]:
        """Directories above `place` without a Copy on the entry, outermost first, and where the outermost belongs."""
        missing: list[FileId] = []
        at = place
        while at.parent != ROOT_FILE and self.placements.get(at.parent, entry) is None:
            missing.append(at.parent)
            above = self.wanted_place(at.parent)
            assert above is not None, "a directory above a living name lives"
            at = above
        return tuple(reversed(missing)), at

    def wanted_place(self, directory: FileId) -> Place | None:
        """Where a directory stands in the mount; None if it is dead."""
        name = self.volume.name(directory)
        if name is None or not name.alive:
            return None
        return Place(self._file_of(name.parent), name.name)

    def _in_the_way(self, file: FileId, copy: Copy) -> bool:
        if copy.place.parent == PARKING:
            return False
        directory = self.volume.name(copy.place.parent)
        if directory is None or not directory.alive:
            return True
        there = self.volume.dirent(directory.inode, copy.place.name)
        return there is not None and there.file != file

    def _below(self, entry: EntryName, parent: FileId, file: FileId) -> tuple[FileId, ...]:
        """The directories from `parent` up to, without, `file`, if that is above it on the entry; else none."""
        found: list[FileId] = []
        while parent not in (ROOT_FILE, PARKING):
            if parent == file:
                return tuple(found)
            found.append(parent)
            above = self.placements.get(parent, entry)
            if above is None:
                break
            parent = above.place.parent
        return ()
