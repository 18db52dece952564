"""What is on a server, while others may change it."""

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from onitufs.drivers.handlers import PRIVATE, Found, RemotePath
from onitufs.model.errors import DriverError, Gone, NameNotAllowed
from onitufs.model.files import Kind, kind_of

from .packets import Attributes, Code, Type, text
from .pool import Lane
from .remote import Look, Remote, look
from .states import found_of, is_directory
from .wire import Refused, Wire

_ROUNDS = 4
"""How often a directory is read again at most, because it changed while it was read."""
SETTLED_S = 2
"""What changed less long ago than this, by the server's clock, may change again and still show the same time."""

Names = dict[bytes, Attributes]


@dataclass(slots=True)
class _Opened:
    handle: bytes
    names: Names = field(default_factory=dict)
    refused: Refused | None = None


def list_many(wire: Wire, directories: Sequence[bytes]) -> list[Names | Refused]:
    """All names in each of the directories, or why it cannot be listed. For as many as may be open at once."""
    asked = [wire.ask(Type.OPENDIR, text(directory)) for directory in directories]
    opened: list[_Opened] = []
    for number in asked:
        try:
            opened.append(_Opened(wire.handle(number)))
        except Refused as exc:
            opened.append(_Opened(b"", refused=exc))
    left = [each for each in opened if each.refused is None]
    while left:
        reads = [(each, wire.ask(Type.READDIR, text(each.handle))) for each in left]
        left = []
        for each, number in reads:
            try:
                some = wire.names(number)
            except Refused as exc:
                each.refused = exc
                continue
            if some is not None:
                each.names.update(some)
                left.append(each)
    for number in [wire.close_handle(each.handle) for each in opened if each.handle]:
        wire.done(number)
    for each in opened:
        each.names.pop(b".", None)
        each.names.pop(b"..", None)
    return [each.names if each.refused is None else each.refused for each in opened]


class Lister:
    """Looks at what is below one root. For any thread; blocking calls; raises DriverError."""

    def __init__(self, remote: Remote, server_now_s: Callable[[], float]) -> None:
        self._remote = remote
        self._server_now_s = server_now_s

    def stat(self, path: RemotePath) -> Found | None:
        with self._remote.wire(Lane.NAMES, path) as wire:
            if not path:
                asked = wire.lstat(self._remote.path(()))
                look(self._remote, wire)
                return found_of(wire.attributes(asked))
            found = look(self._remote, wire, path).there(path)
            if found is None:
                return None
            return self._found(wire, path, found)

    def stat_many(self, paths: Sequence[RemotePath]) -> list[Found | DriverError | None]:
        """As stat of each, in one round trip, or two if there are links among them."""
        refused: dict[int, DriverError] = {}
        with self._remote.wire(Lane.NAMES) as wire:
            looked = Look(self._remote, wire)
            for number, path in enumerate(paths):
                try:
                    looked.at(path)
                except NameNotAllowed as exc:
                    refused[number] = exc
            root = wire.lstat(self._remote.path(()))
            looked.take()
            here = wire.attributes(root)
            answers: list[Found | DriverError | None] = []
            for number, path in enumerate(paths):
                found = here if not path else None if number in refused else looked.there(path)
                answer = None if found is None else self._found(wire, path, found)
                answers.append(refused.get(number, answer))
        return answers

    def _found(self, wire: Wire, path: RemotePath, found: Attributes) -> Found | None:
        target = b""
        if stat.S_ISLNK(found.mode):
            try:
                target = wire.name(wire.ask(Type.READLINK, text(self._remote.path(path))))
            except Refused:
                return None  # went away just now
        return found_of(found, target)

    def names(self, path: RemotePath) -> list[tuple[bytes, Found]]:
        """All that stands in a directory, but for PRIVATE in the root, devices, fifos and sockets.

        A name that was renamed while the directory was read may appear in no single reading of it. So it is read until
        it did not change meanwhile; one that never rests gives all names that were there at the end.
        """
        remote = self._remote
        with remote.wire(Lane.NAMES, path) as wire:
            before = self._directory(wire, path)
            names: Names = {}
            for number in range(_ROUNDS):
                remote.check_cancelled()
                (read,) = list_many(wire, [remote.path(path)])
                if isinstance(read, Refused):
                    self._directory(wire, path)  # says so if it is gone
                    raise read
                missing = [name for name in names if name not in read]
                names = read | self._still_there(wire, path, missing)
                after = self._directory(wire, path)
                settled = after.mtime_s < self._server_now_s() - SETTLED_S
                if after.mtime_s == before.mtime_s and (settled or number > 0):
                    break
                before = after
            if not path:
                names.pop(PRIVATE, None)
            return list(self._all_found(wire, path, names))

    def _directory(self, wire: Wire, path: RemotePath) -> Attributes:
        if not path:
            asked = wire.lstat(self._remote.path(()))
            look(self._remote, wire)
            found: Attributes | None = wire.attributes(asked)
        else:
            found = look(self._remote, wire, path).there(path)
        if found is None or not is_directory(found):
            raise Gone(f"{self._remote.shown(path)} is not a directory")
        return found

    def _still_there(self, wire: Wire, path: RemotePath, names: list[bytes]) -> Names:
        asked = [(name, wire.lstat(self._remote.path((*path, name)))) for name in names]
        return {name: found for name, number in asked if (found := wire.found(number)) is not None}

    def _all_found(self, wire: Wire, path: RemotePath, names: Names) -> Iterator[tuple[bytes, Found]]:
        links = [name for name, found in names.items() if stat.S_ISLNK(found.mode)]
        asked = {name: wire.ask(Type.READLINK, text(self._remote.path((*path, name)))) for name in links}
        targets = {}
        for name, number in asked.items():
            try:
                targets[name] = wire.name(number)
            except Refused as exc:
                if exc.code not in {Code.NO_SUCH_FILE, Code.BAD_MESSAGE}:  # it is gone, or no link any more
                    raise
        for name, found in names.items():
            if kind_of(found.mode) is Kind.SPECIAL or (name in asked and name not in targets):
                continue
            yield name, found_of(found, targets.get(name, b""))
