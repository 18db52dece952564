"""Files that programs hold open."""

from dataclasses import dataclass
from typing import NewType

from onitufs.model.files import Inode
from onitufs.model.ids import ContentId, GenerationId
from onitufs.model.source import Source

Handle = NewType("Handle", int)


@dataclass(slots=True, eq=False)
class OpenFile:
    """One inode with at least one handle. All handles share its descriptor, so an O_TRUNC is seen by each.

    `fd` is -1 as long as its bytes are absent.
    """

    inode: Inode
    fd: int
    handles: int = 0
    writers: int = 0
    dirty: bool = False  # bytes or size differ from the last sealed generation, or none is sealed yet
    frozen: bool = False  # bytes belong to a sealed generation: D2 asks for a durable hot mark before they change
    flushed: bool = False  # a FLUSH came since it was opened: later WRITEs are an mmap's, nobody will flush them
    dirty_since_s: float = 0.0  # monotonic
    written_s: float = 0.0  # monotonic
    written: int = 0  # bytes since the disk was last told to begin with them
    late: bool = False  # the kernel may bring bytes of which programs were told that they are written


@dataclass(slots=True, eq=False)
class OpenHandle:
    file: OpenFile
    writable: bool
    through: bool = False  # write() comes here at once, so that it can fail when there is no room


@dataclass(slots=True, eq=False)
class HotMark:
    """A durable note that bytes under sealed generations of this content may change. Kept a while after the last
    writer, so that a log that is opened and closed for each line pays once."""

    content: ContentId
    left_s: float | None = None  # monotonic; when the last writer left


@dataclass(slots=True, eq=False)
class Pinned:
    """A snapshot taken just before a sealed generation's bytes changed, for the transfers that still want it."""

    generation: GenerationId
    source: Source
