"""What the catalog knows of files: inodes, names and generations."""

import enum
import stat
from dataclasses import dataclass

from .ids import ContentId, FileId, GenerationId, InodeNumber


class Kind(enum.IntEnum):
    """What sort of thing a name stands for. SPECIAL (device, fifo, socket) is never placed."""

    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    SPECIAL = 4


def kind_of(mode: int) -> Kind:
    """The kind that the file type bits of an st_mode say. Source: inode(7)."""
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    if stat.S_ISLNK(mode):
        return Kind.SYMLINK
    return Kind.SPECIAL


@dataclass(slots=True, kw_only=True)
class Inode:
    """One inode, as stat(2) shows it, plus where its bytes are.

    Mutable on purpose: the volume keeps one live object for each inode in use, and writes it whole with each change.
    Times are ns since the epoch, may be negative. `size` of a symlink is its target's length. `absent`: not all bytes
    of `generation` are here; an entry whose Copy has that generation holds them. `media_type` is what they were when
    they were last looked at, "" if not known; only of use while they are absent.
    """

    number: InodeNumber
    mode: int
    uid: int
    gid: int
    nlink: int
    rdev: int = 0
    size: int = 0
    blocks: int = 0  # of 512 bytes
    atime_ns: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    files: tuple[FileId, ...] = ()  # its names; a directory has exactly one, an unlinked but open file none
    parent: InodeNumber = InodeNumber(0)  # of a directory; 0 for everything else
    content: ContentId = ContentId(0)
    generation: GenerationId = GenerationId(0)  # last sealed
    sealed_size: int = 0  # length of `generation`
    sealed_mtime_ns: int = 0
    target: bytes = b""  # of a symlink
    incomplete: bool = False  # a failed write-back left holes: never placed
    absent: bool = False
    media_type: str = ""

    @property
    def kind(self) -> Kind:
        return kind_of(self.mode)


@dataclass(frozen=True, slots=True)
class Dirent:
    """What a directory holds under one name."""

    inode: InodeNumber
    file: FileId
    kind: Kind


@dataclass(frozen=True, slots=True)
class Name:
    """Where a file id stands in the mount. A dead one (`inode` 0) is a tombstone: it still has Copies to remove."""

    parent: InodeNumber
    name: bytes
    inode: InodeNumber
    kind: Kind

    @property
    def alive(self) -> bool:
        return self.inode != 0
