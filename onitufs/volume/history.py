"""What was replaced, truncated or deleted, for as long as it may be brought back.

Nothing is copied: instead of being let go, a content file is named by a Version, in the same record as the change that
ended it. So keeping one costs a few microseconds, and there is no moment at which nobody names the bytes.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from onitufs.catalog import keys
from onitufs.catalog.records import pack_value, pack_version, unpack_value, unpack_version
from onitufs.catalog.store import Catalog
from onitufs.model import errors
from onitufs.model.files import Inode, Kind, Name
from onitufs.model.ids import ContentId, EntryName, FileId, GenerationId, InodeNumber
from onitufs.model.versions import Version

Changes = dict[bytes, bytes | None]

KEEP_S = 30 * 86400.0
MOST_BYTES = 10 << 30
YOUNG_S = 10.0  # bytes that lived for less were a program's, on its way to what it meant
BRIEF_S = 600.0  # how long those are kept
LEAST_COST = 4096  # what one version counts at least, so that many small ones find their bound as well
_HOMES = 10_000
_COUNTS = keys.meta("history")


class Names(Protocol):
    """What history asks of the tree."""

    def name(self, file: FileId) -> Name | None: ...

    def directory_path(self, number: InodeNumber) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A Version, the content file that holds its bytes, and its key in the catalog."""

    key: bytes
    content: ContentId
    version: Version

    @property
    def rev(self) -> str:
        """What a person names it by."""
        return f"{self.content:x}"

    @property
    def cost(self) -> int:
        return _cost(self.version.size)

    @property
    def brief(self) -> bool:
        """Whether the bytes lived for moments only."""
        return self.key.startswith(keys.versions(brief=True))

    @property
    def ended(self) -> int:
        """The seq of the record that ended them."""
        return keys.number(self.key, 2)


def _cost(size: int) -> int:
    return max(LEAST_COST, size)


class History:
    """The versions in a Catalog. Every method is plain; those that take `changes` only add to them.

    `keep_s`: how long, 0: nothing is kept from now on. `most_bytes`: what all of them may take. `fleeting`: whether a
    path in the mount is that of a file that programs make for a while only.
    """

    def __init__(self, catalog: Catalog, names: Names, now_ns: Callable[[], int]) -> None:
        self.keep_s = KEEP_S
        self.most_bytes = MOST_BYTES
        self.fleeting: Callable[[bytes], bool] = lambda path: False
        self._catalog = catalog
        self._names = names
        self._now_ns = now_ns
        self._by = ""
        self._homes: dict[FileId, tuple[InodeNumber, bytes, float]] = {}
        self._young_from: int = catalog.next_seq
        self._passed: deque[tuple[float, int]] = deque()
        self.versions = self.bytes = 0
        self.read_counts()

    def read_counts(self) -> None:
        """As the last record says."""
        counts = self._catalog.get(_COUNTS)
        self.versions, self.bytes = unpack_value(counts) if counts else (0, 0)

    @contextmanager
    def on_behalf_of(self, entry: EntryName) -> Iterator[None]:
        """What ends inside ends because of a change on this entry. No await may be inside."""
        self._by = entry
        try:
            yield
        finally:
            self._by = ""

    # -- what programs do ------------------------------------------------------------------------------------------

    def keep(self, changes: Changes, inode: Inode, file: FileId, why: str, *, exact: bool) -> bytes:
        """The bytes of a file lose their place by the record that `changes` are for. Returns the key of its Version,
        b"" if they are not kept: the caller then lets go of them.

        `exact`: they are what was sealed last, and nobody writes to them any more.
        """
        if not (self.keep_s and inode.size and inode.generation) or inode.absent or inode.kind is not Kind.FILE:
            return b""
        name = self._names.name(file)
        if name is None:
            return b""
        parent, last = name.parent, name.name
        home = self._homes.pop(file, None)
        if home is not None:
            parent, last, _ = home
        path = self._names.directory_path(parent) + b"/" + last
        version = Version(
            file=file, parent=parent, name=last, path=path,
            generation=inode.generation if exact else GenerationId(0), size=inode.size, mtime_ns=inode.mtime_ns,
            mode=inode.mode & 0o7777, uid=inode.uid, gid=inode.gid, incomplete=inode.incomplete,
            ended_ns=self._now_ns(), why=why, by=self._by,
        )  # fmt: skip
        brief = inode.content >= self._young_from or self.fleeting(path)
        key = keys.version(brief, self._catalog.next_seq, inode.content)
        changes[key] = pack_version(version)
        self._count(changes, 1, _cost(inode.size))
        return key

    def moved(self, file: FileId, parent: InodeNumber, name: bytes) -> None:
        """A file lost this name to another one. If it is deleted in moments, it is this name that a person knows it by:
        programs move what they replace aside first."""
        if file < self._young_from and len(self._homes) < _HOMES:
            self._homes.setdefault(file, (parent, name, time.monotonic()))

    def tick(self, now_s: float) -> None:
        """Once a second: what is young grows older. `now_s`: monotonic."""
        self._passed.append((now_s, self._catalog.next_seq))
        while self._passed and self._passed[0][0] <= now_s - YOUNG_S:
            self._young_from = self._passed.popleft()[1]
        if self._homes:
            self._homes = {file: home for file, home in self._homes.items() if home[2] > now_s - YOUNG_S}

    def take_back(self, changes: Changes, number: InodeNumber) -> None:
        """An inode that had lost its last name while open has one again: its bytes are its own."""
        key = self._catalog.get(keys.orphan(number))
        value = self._catalog.get(key) if key else None
        if key and value is not None:
            self.drop(changes, Kept(key, ContentId(keys.number(key, 10)), unpack_version(value)))

    def written_on(self, changes: Changes, key: bytes, size: int) -> bool:
        """Whoever had the file open when it ended has closed it now, at this size. Returns whether it may differ from
        what was sealed."""
        value = self._catalog.get(key)
        assert value is not None, "an open file's bytes have one owner"
        version = unpack_version(value)
        if version.generation:
            return False
        changes[key] = pack_version(replace(version, size=size))
        self._count(changes, 0, _cost(size) - _cost(version.size))
        return True

    # -- reading ---------------------------------------------------------------------------------------------------

    def scan(self, *, brief: bool, after: bytes = b"", limit: int = 200) -> list[Kept]:
        """Up to `limit` versions of one class whose key is larger than `after`, oldest first."""
        rows = self._catalog.scan(keys.versions(brief), after, limit)
        return [Kept(key, ContentId(keys.number(key, 10)), unpack_version(value)) for key, value in rows]

    def holds(self, kept: Kept) -> bool:
        return self._catalog.get(kept.key) is not None

    def path_now(self, version: Version) -> bytes:
        """Where it stood, by the names that directories have now; of a directory that has gone, by those of then."""
        try:
            return self._names.directory_path(version.parent) + b"/" + version.name
        except errors.NoEntry:
            return version.path

    # -- letting go ------------------------------------------------------------------------------------------------

    def due(self, *, free: int = 0, limit: int = 200) -> list[Kept]:
        """Up to `limit` versions whose time is over, or that have to go so that what is kept takes at most its bound,
        and `free` bytes less than now. Oldest first, those that lived for moments only before all others."""
        now_ns = self._now_ns()
        over = max(free, self.bytes - self.most_bytes)
        found: list[Kept] = []
        for brief, keep_s in ((True, min(BRIEF_S, self.keep_s)), (False, self.keep_s)):
            for kept in self.scan(brief=brief, limit=limit - len(found)) if len(found) < limit else ():
                if over <= 0 and now_ns - kept.version.ended_ns < keep_s * 1e9:
                    break
                found.append(kept)
                over -= kept.cost
        return found

    def drop(self, changes: Changes, kept: Kept) -> None:
        """It is history no more: let go of, or brought back."""
        changes[kept.key] = None
        self._count(changes, -1, -kept.cost)

    def _count(self, changes: Changes, versions: int, size: int) -> None:
        self.versions += versions
        self.bytes += size
        changes[_COUNTS] = pack_value((self.versions, self.bytes))
