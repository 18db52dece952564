"""The root of an entry on its server: paths below it, looks at them, and whether it still is the place that it was."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from onitufs.drivers.handlers import PARKED, PRIVATE, RemotePath, shown
from onitufs.model.errors import AnotherPlace, Conflict, DriverError, Gone, NameNotAllowed, NeedsPerson

from . import packets
from .answering import after_failed_write, answering, check_path, file_system, meaning
from .packets import Attributes, Code
from .pool import Lane, Pool
from .states import is_directory
from .wire import Refused, Wire

MARK: RemotePath = (PRIVATE, b"identity.json")
TMP: RemotePath = (PRIVATE, b"tmp")
TRASH: RemotePath = (PRIVATE, b"trash")
_OWN_DIRECTORIES = ((PRIVATE,), TMP, TRASH, PARKED)


class Remote:
    """`root`: absolute on the server. `where`: for people. `owner`: begins the names of this entry's temporary files.

    `mark`: what the server says of the identity mark; `identity`: what is in it.
    """

    def __init__(self, pool: Pool, root: bytes, where: str, owner: bytes, check_cancelled: Callable[[], None]) -> None:
        self._pool = pool
        self.root = root
        self.where = where
        self.owner = owner
        self.check_cancelled = check_cancelled
        self.identity = ""
        self.mark: Attributes | None = None
        self.ahead_s = 0.0
        """How far the server's clock is ahead of ours."""

    @contextmanager
    def wire(self, lane: Lane, path: RemotePath = (), keeping: object = None) -> Iterator[Wire]:
        """A conversation; what it raises is told as concerning `path`. `keeping` as for Pool.wire."""
        with answering(self.where, path), self._pool.wire(lane, keeping) as wire:
            yield wire

    @contextmanager
    def wires(self, lane: Lane, most: int) -> Iterator[list[Wire]]:
        """As Pool.wires."""
        with answering(self.where), self._pool.wires(lane, most) as wires:
            yield wires

    def tidy(self) -> None:
        self._pool.tidy()

    def path(self, path: RemotePath) -> bytes:
        """Raises NameNotAllowed for what the server could not take."""
        check_path(path, self.root, self.where)
        return b"/".join((self.root, *path))

    def shown(self, path: RemotePath) -> str:
        return f"{shown(path)} in {self.where}"

    def temp(self) -> bytes:
        """A new name for what is not ready yet."""
        return b"/".join((self.root, *TMP, self.owner + b"-" + secrets.token_hex(8).encode()))

    # -- the mark -----------------------------------------------------------------------------------------------------

    def read_mark(self, wire: Wire) -> str | None:
        """The identity that is written on the server; None: there is none. Raises NeedsPerson for a damaged one."""
        path = b"/".join((self.root, *MARK))
        try:
            handle = wire.handle(wire.open(path, packets.READ))
        except Refused as exc:
            if exc.code == Code.NO_SUCH_FILE:
                return None
            raise
        content = bytes(wire.data(wire.read(handle, 0, 4096)))
        self.mark = wire.attributes(wire.fstat(handle))
        wire.done(wire.close_handle(handle))
        try:
            identity = json.loads(content)["identity"]
        except (ValueError, KeyError, TypeError) as exc:
            raise self._damaged() from exc
        if not isinstance(identity, str) or not identity:
            raise self._damaged()
        return identity

    def _damaged(self) -> NeedsPerson:
        what = f"{self.where}/.onitufs/identity.json is damaged"
        return NeedsPerson(f"{what}; restore it from a backup of that directory")

    def verify(self, found: str | None, expected: str | None) -> None:
        """Raises AnotherPlace if the root is not the one that is expected."""
        if expected is None or found == expected:
            return
        if found is None:
            what = f"{self.where} has no identity mark: it is not the directory that this entry was"
            raise AnotherPlace(f"{what}; is its disk mounted on the server?")
        what = f"{self.where} belongs to another entry (mark {found}, expected {expected})"
        raise AnotherPlace(f"{what}; mount the right disk there, or correct the setup")

    def make_mark(self, wire: Wire, identity: str) -> None:
        content = json.dumps({"v": 1, "identity": identity}).encode() + b"\n"
        temp = self.temp()
        handle = wire.handle(wire.open(temp, packets.WRITE | packets.CREATE | packets.EXCLUSIVE))
        asked = [wire.write(handle, 0, content), wire.fsync(handle), wire.close_handle(handle)]
        for number in asked:
            if number is not None:
                wire.done(number)
        self.rename_new(wire, temp, b"/".join((self.root, *MARK)), MARK)
        self.read_mark(wire)

    def make_own_directories(self, wire: Wire) -> None:
        """What is ours in the root. Raises Refused."""
        for path in _OWN_DIRECTORIES:
            number = wire.mkdir(self.path(path), 0o700)
            with suppress(Refused):
                wire.done(number)
        if not is_directory(wire.found(wire.lstat(self.path(TMP)))):
            raise meaning(Refused(Code.PERMISSION_DENIED, "not writable"), self.where, TMP)

    # -- renaming -----------------------------------------------------------------------------------------------------

    def rename_new(self, wire: Wire, source: bytes, target: bytes, path: RemotePath) -> None:
        """Rename to a name that is free. Raises Conflict if it is not, Gone, NameNotAllowed, and others."""
        try:
            wire.done(wire.rename(source, target))
        except Refused as exc:
            self.explain(wire, exc, source, target, path)

    def explain(self, wire: Wire, refused: Refused, source: bytes, target: bytes, path: RemotePath) -> None:
        """After a rename to a free name was refused: do it otherwise, or raise why it cannot be done."""
        if wire.found(wire.lstat(target)) is not None:
            raise Conflict(f"{self.shown(path)} has just been made by somebody else") from refused
        directory = target.rpartition(b"/")[0]
        if refused.code == Code.NO_SUCH_FILE or not is_directory(wire.found(wire.lstat(directory))):
            raise Gone(f"{self.shown(path)}: there is no directory for it") from refused
        if wire.offer(b"posix-rename@openssh.com") and refused.code != Code.BAD_MESSAGE:
            # The server makes a second name first, to overwrite nothing. Where that is not allowed, this may be.
            try:
                wire.done(wire.replace(source, target))
            except Refused as exc:
                raise self.why_not(wire, exc, source, directory, path) from exc
            return
        raise self.why_not(wire, refused, source, directory, path) from refused

    def why_not(self, wire: Wire, refused: Refused, source: bytes, directory: bytes, path: RemotePath) -> DriverError:
        """Why something could not be renamed into a directory."""
        here, there = file_system(wire, source.rpartition(b"/")[0]), file_system(wire, directory)
        if here != there:
            what = f"{self.shown(path)}: another file system is mounted there on the server"
            return NameNotAllowed(f"{what}; make that an entry of its own")
        return after_failed_write(wire, refused, self.root, self.where, path)


class Look:
    """What stands at many paths, asked in one round trip: each directory above them, too, and the mark.

    Symbolic links are not followed: what is below one is not there.
    """

    def __init__(self, remote: Remote, wire: Wire, *paths: RemotePath) -> None:
        self._remote = remote
        self._wire = wire
        self._asked: dict[RemotePath, int] = {}
        self._found: dict[RemotePath, Attributes | None] = {}
        self._mark = wire.lstat(remote.path(MARK))
        for path in paths:
            self.at(path)

    def at(self, path: RemotePath) -> None:
        """Ask about this path. Raises NameNotAllowed."""
        self._remote.path(path)
        for depth in range(1, len(path) + 1):
            prefix = path[:depth]
            if prefix not in self._asked:
                self._asked[prefix] = self._wire.lstat(self._remote.path(prefix))

    def take(self) -> None:
        """Take all answers. Raises NeedsPerson if the root is not the place that it was, Refused, ServiceError."""
        mark = self._wire.found(self._mark)
        for path, number in self._asked.items():
            try:
                self._found[path] = self._wire.found(number)
            except Refused as exc:
                if exc.code == Code.BAD_MESSAGE:
                    raise NameNotAllowed(f"{self._remote.shown(path)}: {exc}; rename the file") from exc
                raise
        if mark is None or mark != self._remote.mark:
            self._remote.verify(self._remote.read_mark(self._wire), self._remote.identity)

    def there(self, path: RemotePath) -> Attributes | None:
        """What stands there; None: nothing, or nothing that is reached through directories alone."""
        return self._found[path] if self.has_directory(path) else None

    def has_directory(self, path: RemotePath) -> bool:
        """Whether all above it are directories."""
        return all(is_directory(self._found[path[:depth]]) for depth in range(1, len(path)))

    def need_directory(self, path: RemotePath) -> None:
        """Raises Gone."""
        if not self.has_directory(path):
            raise Gone(f"{self._remote.shown(path)}: there is no directory for it")


def look(remote: Remote, wire: Wire, *paths: RemotePath) -> Look:
    """All answers of one round trip."""
    looked = Look(remote, wire, *paths)
    looked.take()
    return looked
