"""What the Referee orders, and what a Plug reports back."""

import enum
from dataclasses import dataclass

from .copies import Copy, Place, RemoteState
from .files import Kind
from .ids import EntryName, FileId, GenerationId


class Interest(enum.Enum):
    """In what a running order does."""

    WANTED = enum.auto()
    OVERTAKEN = enum.auto()  # a newer generation of the file is to be placed
    NONE = enum.auto()  # nothing of the file is to be there


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Make `place` on the entry hold this generation of the file, in one step.

    `had`: this file's own Copy, if any; it is at `place` unless this is a takeover. `replaces`: the Copy of another
    file that holds `place` now. At most one remote object stands at `place`; the driver replaces it only if its rev is
    still the one in that Copy. In a takeover the object of `had` is left where it is. Of a directory, `replaces` is a
    dead directory's Copy: it is there already, with all in it, and stays as it is. `missing`: directories to make
    first, outermost first.
    """

    entry: EntryName
    file: FileId
    kind: Kind  # FILE, SYMLINK or DIRECTORY (which is just made)
    place: Place
    generation: GenerationId
    size: int
    mtime_ns: int
    mode: int
    target: bytes = b""
    had: Copy | None = None
    replaces: Copy | None = None
    missing: tuple[FileId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Rename the remote object of `copy` to `place`. `replaces`: a dead file's Copy that holds it now (to trash)."""

    entry: EntryName
    file: FileId
    copy: Copy
    place: Place
    replaces: Copy | None = None
    missing: tuple[FileId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Remove the remote object of `copy`, by way of trash. A directory goes only if we made it and it is empty."""

    entry: EntryName
    file: FileId
    copy: Copy


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAttributes:
    """Give the remote object of `copy` this mode and mtime, without a transfer."""

    entry: EntryName
    file: FileId
    copy: Copy
    mode: int
    mtime_ns: int


Order = Put | Move | Delete | SetAttributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The entry confirmed an order. `state` is None after a Delete.

    `made`: file ids of `missing` directories, and of the file itself where a directory was put, that were made now,
    with True, or found, with False.
    `kept`: name under which a foreign object, found in the way, was kept on the entry (a conflict); b"" if none.
    `remains`: of a Delete of a directory, that it was not empty or not ours and was left there.
    """

    order: Order
    state: RemoteState | None
    made: tuple[tuple[FileId, bool], ...] = ()
    kept: bytes = b""
    remains: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The order was not carried out. `again`: worth trying again without anybody's help (the Plug does so).

    `stale`: the order no longer fits (newer generation, place moved): ask the Referee again.
    """

    order: Order
    error: Exception
    again: bool
    stale: bool = False


Outcome = Done | Failed
