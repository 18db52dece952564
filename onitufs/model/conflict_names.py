"""Names of conflicted copies, `NAME (conflicted copy from ENTRY DATE).EXT`: made and read here and nowhere else."""

import re
from datetime import date

from .names import NAME_MAX, cut

_LONGEST_EXTENSION = 16
_LONGEST_ENTRY = 64
_MARKED = re.compile(
    rb"(?P<stem>.+) \(conflicted copy from (?P<entry>.+) \d{4}-\d\d-\d\d(?: [1-9]\d*)?\)"
    rb"(?P<extension>(?:\.[^. ]{0,16})?)",
    re.DOTALL,
)


def conflict_name(name: bytes, entry: str, day: date, number: int = 1) -> bytes:
    """The name under which what `entry` had instead of the file `name` is kept beside it; at most 255 bytes.

    What follows the last dot stays at the end, so that programs still know the type. `number`: 2, 3 .. where the names
    before are taken.
    """
    stem, dot, extension = name.rpartition(b".")
    if not stem or len(extension) > _LONGEST_EXTENSION or b" " in extension:
        stem, dot, extension = name, b"", b""
    whom = cut(entry.replace("/", "-").encode(), _LONGEST_ENTRY).decode()
    mark = f" (conflicted copy from {whom} {day.isoformat()}{'' if number == 1 else f' {number}'})".encode()
    return cut(stem, NAME_MAX - len(mark) - len(dot) - len(extension)) + mark + dot + extension


def read_conflict_name(name: bytes) -> tuple[bytes, str] | None:
    """The name of the original and the entry that a conflicted copy's name tells; None: it is no such name.

    Both as they stand in the name: what was too long was cut.
    """
    found = _MARKED.fullmatch(name)
    if found is None:
        return None
    return found["stem"] + found["extension"], found["entry"].decode(errors="replace")
