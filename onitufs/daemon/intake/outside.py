"""One entry as its intake needs it: where things stand there, what is under way, whom to tell."""

from collections.abc import Callable

from onitufs.drivers.handlers import PARKED, PRIVATE, RemotePath
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy, Place
from onitufs.model.digests import algorithm_of
from onitufs.model.errors import Gone
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import PARKING, ROOT_FILE, EntryName, FileId, InodeNumber
from onitufs.model.orders import Order, Put
from onitufs.referee.sightings import Standing

from ..conflicts import Conflicts
from ..placing import Placing

TellKernel = Callable[[InodeNumber, bytes], None]


class Outside:
    """What is known here of one entry. `tell_kernel`: a name in the mount stands for something else now."""

    def __init__(self, entry: EntryName, plug: Plug, placing: Placing, tell_kernel: TellKernel) -> None:
        self.entry = entry
        self.plug = plug
        self.placing = placing
        self.tell_kernel = tell_kernel
        self.volume = placing.volume
        self.placements = placing.placements
        self.memory = placing.memory
        self.conflicts = Conflicts(placing.volume)

    # -- places --------------------------------------------------------------------------------------------------------

    def directory(self, path: RemotePath) -> FileId | None:
        """The file id of a directory on the entry; None if it is not known, or not as a directory."""
        at, names = (PARKING, path[len(PARKED) :]) if _is_parked(path) else (ROOT_FILE, path)
        for name in names:
            copy = self.placements.at(self.entry, Place(at, name))
            if copy is None or copy.kind is not Kind.DIRECTORY:
                return None
            at = copy.file
        return at

    def copy(self, path: RemotePath) -> Copy | None:
        """The Copy that is known at a path."""
        place = self.place(path)
        return None if place is None else self.placements.at(self.entry, place)

    def place(self, path: RemotePath) -> Place | None:
        """The place that a path on the entry is now; None if the directory is not known, or the path is not theirs.

        What is parked is theirs as well: others may have removed or changed it before they could know.
        """
        if not path or (path[0] == PRIVATE and not _is_parked(path[:-1])):
            return None
        directory = self.directory(path[:-1])
        if directory is None:
            return None
        place = Place(directory, path[-1])
        return place if directory != PARKING or self.placements.at(self.entry, place) is not None else None

    def path(self, copy: Copy) -> RemotePath | None:
        """Where a Copy stands now; None if a directory above it is not there any more."""
        try:
            return self.placements.path(self.entry, copy.place)
        except Gone:
            return None

    def mount_directory(self, place: Place) -> InodeNumber | None:
        """The directory of the mount that goes with a place; None if it was deleted."""
        name = self.volume.name(place.parent)
        return name.inode if name is not None and name.alive else None

    @property
    def is_ours(self) -> bool:
        """Whether anything is ordered here; else what others have here stays, whatever is deleted in the mount."""
        return self.entry in self.placing.facts.entries

    # -- what is under way ---------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Grows with the end of each order here: what was seen under another one may be seen before it."""
        return self.memory.epochs[self.entry]

    def is_busy(self, place: Place) -> bool:
        """Whether an order that touches this place may be under way. What stands there is then not to be judged."""
        copy = self.placements.at(self.entry, place)
        if copy is not None and self.memory.is_running((self.entry, copy.file)):
            return True
        running = (order for (entry, _), order in self.memory.running.items() if entry == self.entry)
        if any(_touches(order, place) for order in running):
            return True
        return any(
            self.placing.copies.put_place(self.entry, directory) == place
            for entry, directory in self.memory.making
            if entry == self.entry
        )

    # -- files of the mount --------------------------------------------------------------------------------------------

    def standing(self, file: FileId, copy: Copy | None = None) -> Standing:
        """A file as one meets it whose Copy, if any, is `copy`."""
        name = self.volume.name(file)
        if name is None or not name.alive:
            return Standing(alive=False, kind=copy.kind if copy is not None else Kind.FILE)
        inode = self.volume.peek(name.inode)
        return Standing(
            alive=True,
            kind=name.kind,
            generation=inode.generation,
            size=inode.sealed_size if name.kind is Kind.FILE else 0,
            target=inode.target,
            digest=self.known_digest(file, inode, self.plug.driver.manifest.digest) or self.known_digest(file, inode),
            at_home=copy is None or copy.place == self.placing.facts.wanted_place(file),
            quiet=name.kind is not Kind.FILE or self.volume.is_quiet(file),
        )

    def known_digest(self, file: FileId, inode: Inode, algorithm: str = "") -> bytes:
        """A digest of a file's generation, of `algorithm` if that is given, if some entry told it; b"" else."""
        if inode.kind is not Kind.FILE or not inode.generation:
            return b""
        digests = (copy.digest for copy in self.placements.of(file).values() if copy.generation == inode.generation)
        return next((d for d in digests if d and algorithm in ("", algorithm_of(d))), b"")


def _is_parked(path: RemotePath) -> bool:
    return path[: len(PARKED)] == PARKED


def _touches(order: Order, place: Place) -> bool:
    copies = [order.had, order.replaces] if isinstance(order, Put) else [order.copy]
    if getattr(order, "place", None) == place:
        return True
    return any(copy is not None and copy.place == place for copy in copies)
