"""What the kernel knows: attributes as it wants them, and how often each inode was given to it."""

import stat
from collections.abc import Callable, Iterable

from pyfuse3 import EntryAttributes

from onitufs.model.files import Inode
from onitufs.model.ids import InodeNumber
from onitufs.model.shown import Shown

TIMEOUT_S = 300.0
"""How long the kernel may answer by itself. All changes pass through it, or are followed by invalidate_entry."""

BLOCK_SIZE = 4096  # what st_blksize advises


def attributes_of(inode: Inode) -> EntryAttributes:
    attributes = EntryAttributes()  # mode, blksize and both timeouts have fit defaults: st_blksize 4096, 300 s
    attributes.st_ino = inode.number
    attributes.st_mode = inode.mode
    attributes.st_nlink = inode.nlink
    attributes.st_uid = inode.uid
    attributes.st_gid = inode.gid
    if inode.rdev:
        attributes.st_rdev = inode.rdev
    attributes.st_size = inode.size
    attributes.st_blocks = inode.blocks
    attributes.st_atime_ns = inode.atime_ns
    attributes.st_mtime_ns = inode.mtime_ns
    attributes.st_ctime_ns = inode.ctime_ns
    return attributes


def attributes_as(shown: Shown) -> Callable[[Inode], EntryAttributes]:
    """What takes the place of attributes_of for a mount that shows other owners or fewer permissions."""
    if shown.changes_nothing:
        return attributes_of

    def changed(inode: Inode) -> EntryAttributes:
        attributes = attributes_of(inode)
        mask = shown.directories if stat.S_ISDIR(inode.mode) else shown.files
        if not stat.S_ISLNK(inode.mode):
            attributes.st_mode = inode.mode & ~mask
        if shown.uid is not None:
            attributes.st_uid = shown.uid
        if shown.gid is not None:
            attributes.st_gid = shown.gid
        return attributes

    return changed


def absent() -> EntryAttributes:
    """The answer to a lookup of a name that does not exist: the kernel keeps that, too (a negative entry)."""
    attributes = EntryAttributes()
    attributes.st_ino = 0
    attributes.entry_timeout = TIMEOUT_S
    return attributes


class Lookups:
    """Lookup counts. Each answer that names an inode adds one; the kernel gives them back by FORGET, in lots.

    `forgotten` is called for an inode that the kernel does not know any more. About 75 bytes an inode.
    """

    def __init__(self, forgotten: Callable[[InodeNumber], None]) -> None:
        self.counts: dict[int, int] = {}
        self._forgotten = forgotten

    def add(self, number: InodeNumber) -> None:
        counts = self.counts
        counts[number] = counts.get(number, 0) + 1

    def forget(self, lots: Iterable[tuple[int, int]]) -> None:
        """Give back counts: pairs of inode and count. The root is given back unasked for at unmount; that is fine."""
        counts = self.counts
        for number, times in lots:
            left = counts.get(number, 0) - times
            if left > 0:
                counts[number] = left
            else:
                counts.pop(number, None)
                self._forgotten(InodeNumber(number))

    def count(self, number: InodeNumber) -> int:
        return self.counts.get(number, 0)

    def __len__(self) -> int:
        return len(self.counts)
