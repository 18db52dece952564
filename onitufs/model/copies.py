"""What entries are known to hold."""

from dataclasses import dataclass

from .files import Kind
from .ids import EntryName, FileId, GenerationId


@dataclass(frozen=True, slots=True)
class Place:
    """A place on an entry: a name in the Copy of a directory. Keyed by parent so that renaming a directory is O(1).

    `parent` is the directory's file id, ROOT_FILE for the entry's root, PARKING for its parking directory.
    """

    parent: FileId
    name: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteState:
    """What a driver says of one remote object after it answered. `rev` changes whenever the content may have."""

    rev: str
    remote_id: str = ""
    digest: bytes = b""  # of the content, see digests.py; b"" where unknown, and for directories


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What stands at a path on the entry."""

    kind: Kind
    size: int
    mtime_ns: int
    state: RemoteState
    target: bytes = b""  # of a symlink
    mode: int = 0o644  # permission bits, 0..0o777; as given where the service keeps none


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What one entry is known to hold of one file. Written after the service confirmed.

    `generation` 0: the object is there, but holds bytes that are no generation of this file (after a takeover).
    `made`: of a directory, whether we made it; we remove no other. `found`: it stood there before any order of ours, so
    only a delete in the mount, a ban or `plan --apply` takes it away. `verified_ns`: wall clock, for people only.
    """

    file: FileId
    entry: EntryName
    kind: Kind
    place: Place
    generation: GenerationId
    size: int
    mtime_ns: int
    mode: int
    rev: str
    remote_id: str = ""
    digest: bytes = b""
    made: bool = False
    verified_ns: int = 0
    found: bool = False
