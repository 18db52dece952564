"""What the kernel says of our mounts, whether or not a daemon is behind them. Source: proc(5), mountinfo."""

import os
import re
from dataclasses import dataclass

TYPE = "fuse.onitufs"


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of ours in this mount namespace. `source` is the setup's path."""

    point: str
    source: str
    uid: int  # who mounted it


def of_onitufs() -> list[Mount]:
    """Our mounts, in the order they were made; of two at one mount point the later one hides the earlier."""
    with open("/proc/self/mountinfo", "rb") as file:
        lines = file.read().splitlines()
    return [mount for mount in map(_parse, lines) if mount is not None]


def _parse(line: bytes) -> Mount | None:
    fields = line.split(b" ")
    rest = fields[fields.index(b"-", 6) + 1 :]  # after any number of optional fields
    if _plain(rest[0]) != TYPE:
        return None
    user = re.search(rb"(?:^|,)user_id=(\d+)", rest[2])
    return Mount(_plain(fields[4]), _plain(rest[1]), int(user[1]) if user else 0)


def _plain(field: bytes) -> str:
    """A field without the octal escapes that stand for blanks, newlines and backslashes."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field))


def type_at(path: str) -> str:
    """The type of the file system that a directory is on, "?" if it cannot be told. Touches nothing that is mounted."""
    found, length = "?", -1
    path = os.path.realpath(path)
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            fields = line.rstrip(b"\n").split(b" ")
            point = _plain(fields[4])
            if len(point) >= length and (path == point or path.startswith(point.rstrip("/") + "/")):
                found, length = _plain(fields[fields.index(b"-", 6) + 1]), len(point)
    return found
