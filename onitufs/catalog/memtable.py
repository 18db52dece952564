"""Changes that are not in LMDB yet, with what scans need to see them in order."""

import enum
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

from . import keys

_BY_NUMBER = frozenset(table[0] for table in (keys.DIRENT, keys.COPY, keys.XATTR))
_REMOTE = keys.REMOTE[0]
_ID_END = 9  # one byte for the table, eight for a number


class Missing(enum.Enum):
    MISSING = enum.auto()


MISSING: Final[Literal[Missing.MISSING]] = Missing.MISSING
"""No change of this key here: ask the next older table. (None is a change: the key was deleted.)"""


def _group_length(key: bytes) -> int:
    """How much of a key names the group that is scanned together: a directory, a file's Copies, a whole small table."""
    table = key[0]
    if table in _BY_NUMBER:
        return _ID_END
    if table == _REMOTE:
        end = key.find(b"\0")
        return end + _ID_END if end > 0 else len(key) + 1
    return 1


class Memtable:
    """Key -> value or None (deleted). `changes` may be read directly; only `update` may write it."""

    __slots__ = ("_groups", "_unsorted", "changes")

    def __init__(self) -> None:
        self.changes: dict[bytes, bytes | None] = {}
        self._groups: dict[bytes, list[bytes]] = {}
        self._unsorted: set[bytes] = set()

    def update(self, changes: Mapping[bytes, bytes | None]) -> None:
        mine = self.changes
        for key, value in changes.items():
            if key not in mine:
                group = key[: _group_length(key)]
                members = self._groups.get(group)
                if members is None:
                    self._groups[group] = [key]
                else:
                    if key < members[-1]:
                        self._unsorted.add(group)
                    members.append(key)
            mine[key] = value

    def keys_after(self, prefix: bytes, after: bytes) -> tuple[list[bytes], int]:
        """Changed keys that begin with `prefix`, in order, deleted ones included, and the index of the first that is
        larger than `after`. The list is the memtable's own: a large directory is listed in pieces, without a copy for
        each. It is good until the next update."""
        length = _group_length(prefix)
        if len(prefix) >= length:
            group = prefix[:length]
            members = self._groups.get(group)
            if members is None:
                return [], 0
            if group in self._unsorted:
                members.sort()
                self._unsorted.discard(group)
            if len(prefix) > length:
                members = [key for key in members if key.startswith(prefix)]
        else:
            members = sorted(key for group, some in self._groups.items() if group.startswith(prefix) for key in some)
        return members, bisect_right(members, after)


def overlaid(
    rows: Iterable[tuple[bytes, bytes]],
    changed: Sequence[bytes],
    at: int,
    value_of: Callable[[bytes], bytes | None],
    limit: int,
) -> list[tuple[bytes, bytes]]:
    """The first `limit` of `rows` as the changed keys from index `at` on make them; both are in order of keys."""
    found: list[tuple[bytes, bytes]] = []
    for row in rows:
        key = row[0]
        while at < len(changed) and changed[at] <= key:
            mine = changed[at]
            at += 1
            value = value_of(mine)
            if value is not None:
                found.append((mine, value))
                if len(found) >= limit:
                    return found
            if mine == key:
                break
        else:
            found.append(row)
            if len(found) >= limit:
                return found
    for index in range(at, len(changed)):
        mine = changed[index]
        value = value_of(mine)
        if value is not None:
            found.append((mine, value))
            if len(found) >= limit:
                break
    return found
