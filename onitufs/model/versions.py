"""What was in the mount and is not any more."""

from dataclasses import dataclass

from .ids import FileId, GenerationId, InodeNumber

DELETED = "deleted"
REPLACED = "replaced"
TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Bytes that lost their place, and all that is needed to bring them back.

    `parent`, `name` and `path`: where they stood when they ended. `generation` 0: they are not exactly what was last
    sealed, because a program was still writing. `size` in bytes. `ended_ns`: wall clock. `why`: one of the words above.
    `by`: the entry whose change it was, "" for the mount.
    """

    file: FileId
    parent: InodeNumber
    name: bytes
    path: bytes
    generation: GenerationId
    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    incomplete: bool
    ended_ns: int
    why: str
    by: str
