"""A program saved what an entry had changed meanwhile: both sides live."""

import logging
from datetime import UTC, datetime

from onitufs.model.conflict_names import conflict_name
from onitufs.model.errors import FileError
from onitufs.model.ids import EntryName, FileId, InodeNumber
from onitufs.volume import Volume
from onitufs.volume.tree import Changes

from ..conflicts import Conflicts
from .outside import TellKernel

HERE = EntryName("mount")
"""Stands for the program's side in a conflicted copy's name."""

log = logging.getLogger(__name__)


class Overtaken:
    """What Volume.overtaken calls: gives what the program wrote a name beside the file that came from the entry."""

    def __init__(self, volume: Volume, tell_kernel: TellKernel) -> None:
        self._volume = volume
        self._tell_kernel = tell_kernel
        self._conflicts = Conflicts(volume)

    def __call__(self, file: FileId, number: InodeNumber) -> None:
        volume = self._volume
        name = volume.name(file)
        if name is None:
            log.error("what a program wrote has lost its place", extra={"inode": number})
            return
        kept = free_conflict_name(volume, name.parent, name.name, HERE)
        try:
            new = volume.give_name(number, name.parent, kept)
        except FileError as error:  # the directory has gone, too
            log.error("what a program wrote has lost its place", extra={"inode": number, "why": str(error)})  # noqa: TRY400
            return
        changes: Changes = {}
        self._conflicts.note(changes, new, HERE, file)
        volume.catalog.commit(changes)
        self._tell_kernel(name.parent, kept)
        log.warning("both sides of a conflict are kept", extra={"path": volume.shown(new)})


def free_conflict_name(volume: Volume, directory: InodeNumber, name: bytes, whose: EntryName) -> bytes:
    """A name for the conflicted copy of `name` that nothing in the directory has yet."""
    day = datetime.fromtimestamp(volume.now_ns() / 1e9, UTC).date()
    number = 1
    while True:
        kept = conflict_name(name, whose, day, number)
        if volume.dirent(directory, kept) is None:
            return kept
        number += 1
