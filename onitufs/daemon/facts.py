"""What the Referee is told about one file: read from the volume and the Copies, now, without waiting."""

from collections.abc import Mapping

from onitufs.content.media_type import UNKNOWN, media_type
from onitufs.model.copies import Copy, Place
from onitufs.model.files import Inode, Kind, Name
from onitufs.model.ids import PARKING, ROOT_FILE, EntryName, FileId, GenerationId, InodeNumber, Seq
from onitufs.model.orders import Interest, Put
from onitufs.model.state import Abilities, EntryView, FileState, Occupant
from onitufs.model.verdicts import Subject, Verdict
from onitufs.referee.rules import Rulebook
from onitufs.volume import Volume
from onitufs.volume.placements import Placements

from .memory import Memory


class Facts:
    """Builds a FileState from the catalog. `entries`: what the entries that the setup names for writing can keep."""

    def __init__(
        self,
        volume: Volume,
        placements: Placements,
        rulebook: Rulebook,
        entries: Mapping[EntryName, Abilities],
        memory: Memory,
    ) -> None:
        self.volume = volume
        self.placements = placements
        self.rulebook = rulebook
        self.entries = entries
        self.memory = memory

    # -- rules -----------------------------------------------------------------------------------------------------

    def subject(self, path: bytes, inode: Inode) -> Subject:
        """What the rules may look at, of a file that is there. Reads its first bytes if a rule asks for the type."""
        kind = inode.kind
        if kind is not Kind.FILE:
            return Subject(path=path, kind=kind)
        looks = self.rulebook.looks_at
        kind_of_media = None
        if looks.media_type:
            kind_of_media = self.media_type(path.rpartition(b"/")[2], inode)
        age_s = (self.volume.now_ns() - inode.mtime_ns) / 1e9 if looks.age else None
        return Subject(path=path, kind=kind, size=inode.sealed_size, media_type=kind_of_media, age_s=age_s)

    def media_type(self, name: bytes, inode: Inode) -> str:
        """Of a regular file: by its name, or else by its first bytes; of absent ones, by what is noted of those."""
        if not inode.absent:
            return media_type(name, self.volume.head(inode))
        by_name = media_type(name)
        return by_name if by_name != UNKNOWN else inode.media_type or UNKNOWN

    def lacks_type(self, name: bytes, inode: Inode) -> bool:
        """Whether a rule looks at media types, and that of this file can be told only by bytes that are not here."""
        if not (inode.absent and inode.size and self.rulebook.looks_at.media_type):
            return False
        return not inode.media_type and media_type(name) == UNKNOWN

    def verdict(self, path: bytes, inode: Inode) -> Verdict:
        return self.rulebook.decide(self.subject(path, inode))

    def interest(self, order: Put) -> Interest:
        """In what a running Put of a file does, by what is known now."""
        name, path = self.volume.name(order.file), self.volume.path(order.file)
        if name is None or not name.alive or path is None:
            return Interest.NONE
        inode = self.volume.peek(name.inode)
        if inode.generation != order.generation:
            return Interest.OVERTAKEN
        if order.had is None and order.replaces is None and not self.lacks_type(name.name, inode):
            return Interest.WANTED if order.entry in self.verdict(path, inode).targets else Interest.NONE
        return Interest.WANTED

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

    def is_durable(self, file: FileId, inode: Inode) -> bool:
        """Whether what is to be placed would survive a power cut."""
        return self.volume.catalog.durable_seq >= self.made_by(file, inode)

    def made_by(self, file: FileId, inode: Inode) -> Seq:
        """The record that has to be on disk before the file is placed."""
        return Seq(max(inode.generation or file, self.volume.arrived_seq(inode.number)))

    def living(self, file: FileId, name: Name, inode: Inode, changed_s: float) -> FileState:
        """A file that has a name, as it is now."""
        directory = self.volume.directory_path(name.parent)
        place = Place(self._file_of(name.parent), name.name)
        verdict = self.verdict(directory + b"/" + name.name, inode)
        views: dict[EntryName, EntryView] = {}
        for entry in dict.fromkeys((*verdict.targets, *self.entries)):
            copy = self.placements.get(file, entry)
            key = (entry, file)
            memory = self.memory
            if (
                copy is not None
                or entry in verdict.targets
                or memory.is_running(key)
                or key in memory.needed
                or self.placements.at(entry, place) is not None  # which may have been found there
            ):
                views[entry] = self._view(file, name.kind, place, entry, copy)
        return FileState(
            file=file,
            kind=name.kind,
            alive=True,
            generation=GenerationId(0) if name.kind is Kind.DIRECTORY else inode.generation,
            durable=self.is_durable(file, inode),
            complete=not inode.incomplete,
            absent=inode.absent,
            size=inode.sealed_size,
            mtime_ns=inode.mtime_ns,
            mode=inode.mode & 0o7777,
            target=inode.target,
            place=place,
            depth=directory.count(b"/"),
            changed_s=changed_s,
            verdict=verdict,
            views=views,
        )

    def dead(self, file: FileId, kind: Kind, changed_s: float) -> FileState:
        """A tombstone: what entries still hold of it, also those that the setup does not name any more."""
        copies = self.placements.of(file)
        running = (entry for entry in self.entries if self.memory.is_running((entry, file)))
        views = {
            entry: self._view(file, kind, None, entry, copies.get(entry))
            for entry in dict.fromkeys((*copies, *running))
        }
        return FileState(file=file, kind=kind, alive=False, changed_s=changed_s, views=views)

    def _file_of(self, directory: InodeNumber) -> FileId:
        return self.volume.peek(directory).files[0]

    # -- one entry ---------------------------------------------------------------------------------------------------

    def _view(self, file: FileId, kind: Kind, place: Place | None, entry: EntryName, copy: Copy | None) -> EntryView:
        abilities = self.entries.get(entry)
        if abilities is None:
            return EntryView(entry=entry, ours=False, copy=copy)
        key = (entry, file)
        refused, refusal = self.memory.refused.get(key, (None, ""))
        missing: tuple[FileId, ...] = ()
        occupant: Occupant | None = None
        below: tuple[FileId, ...] = ()
        in_the_way = False
        if place is not None and (copy is None or copy.place != place):
            missing, at = self._missing(entry, place)
            there = self.placements.at(entry, at)
            if there is not None and (there.file != file or missing):
                name = self.volume.name(there.file)
                alive = name is not None and name.alive
                occupant = Occupant(copy=there, alive=alive, needed=alive and self._is_needed(there))
            if copy is not None:
                in_the_way = self._in_the_way(file, copy)
                if kind is Kind.DIRECTORY:
                    below = self._below(entry, at.parent, file)
        return EntryView(
            entry=entry,
            abilities=abilities,
            copy=copy,
            missing=missing,
            occupant=occupant,
            child=self.placements.child(entry, file) if kind is Kind.DIRECTORY and copy is not None else None,
            in_the_way=in_the_way,
            below_itself=below,
            needed=key in self.memory.needed,
            running=self.memory.is_running(key),
            refused=refused,
            refusal=refusal,
        )

    def _is_needed(self, copy: Copy) -> bool:
        name = self.volume.name(copy.file)
        if name is None or not name.alive or name.kind is not Kind.FILE:
            return False
        inode = self.volume.peek(name.inode)
        return inode.absent and copy.generation == inode.generation

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
