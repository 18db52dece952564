"""Where replaced and deleted objects stay for a while: .onitufs/trash/DATE/PATH, put there on the server itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta

from onitufs.drivers.handlers import RemotePath
from onitufs.model.names import cut

from .packets import Attributes, Code, Type, text
from .remote import TRASH, Remote
from .states import is_directory
from .wire import Refused, Wire

_AT_ONCE = 2000
"""Objects removed in one call of `clean`, at most."""
_TRIES = 50
_MOST_KNOWN = 10_000


class Trash:
    """For any thread."""

    def __init__(self, remote: Remote, days: int, now_s: Callable[[], float]) -> None:
        self._remote = remote
        self._days = days
        self._now_s = now_s
        self._made: set[RemotePath] = set()

    def second_name(self, wire: Wire, path: RemotePath) -> bytes | None:
        """Give what stands at a path a second name in the trash; that name. None: the server cannot do that here."""
        source = self._remote.path(path)
        if not wire.offer(b"hardlink@openssh.com"):
            return None
        for slot in self.slots(wire, path):
            try:
                wire.done(wire.extended(b"hardlink@openssh.com", text(source), text(slot)))
            except Refused as exc:
                if exc.code == Code.NO_SUCH_FILE:
                    raise
                if wire.found(wire.lstat(slot)) is None:
                    return None
            else:
                return slot
        return None

    def take(self, wire: Wire, source: bytes, path: RemotePath) -> bytes:
        """Move what stands at `source` to a free name in the trash; that name. `path`: where people will look for it.

        Raises Refused, DriverError.
        """
        slot = b""
        for slot in self.slots(wire, path):
            try:
                wire.done(wire.rename(source, slot))
            except Refused as exc:
                if exc.code == Code.NO_SUCH_FILE:
                    raise
                if wire.found(wire.lstat(slot)) is None:
                    break
            else:
                return slot
        self._remote.rename_new(wire, source, slot, path)
        return slot

    def slots(self, wire: Wire, path: RemotePath) -> Iterator[bytes]:
        """Names in the trash for it, the best one first; their directory is there."""
        clock = time.localtime(self._now_s())
        day = (*TRASH, time.strftime("%Y-%m-%d", clock).encode())
        stamp = time.strftime("~%H%M%S", clock).encode()
        where = self._directory(wire, day, path[:-1])
        for number in range(_TRIES):
            mark = b"" if number == 0 else stamp if number == 1 else stamp + b"-%d" % number
            yield self._remote.path((*where, cut(path[-1], 255 - len(mark)) + mark))

    def _directory(self, wire: Wire, day: RemotePath, below: RemotePath) -> RemotePath:
        """Make a directory in the trash. A file that is in its way is avoided by a "~"; too long a path is cut."""
        path = day
        if len(self._remote.path(())) + sum(len(name) + 1 for name in (*day, *below)) > 3500:
            below = below[:1]
        wanted = (*day, *below)
        if wanted in self._made:
            return wanted
        for name in (b"", *below):
            while True:
                path_here = (*path, name) if name else path
                with suppress(Refused):
                    wire.done(wire.mkdir(self._remote.path(path_here), 0o700))
                if not name or is_directory(wire.found(wire.lstat(self._remote.path(path_here)))):
                    break
                name = cut(name, 254) + b"~"
            path = path_here
        if len(self._made) > _MOST_KNOWN:
            self._made.clear()
        if path == wanted:
            self._made.add(wanted)
        return path

    def forget(self) -> None:
        """Somebody may have removed directories of the trash."""
        self._made.clear()

    # -- cleaning -----------------------------------------------------------------------------------------------------

    def clean(self, wire: Wire) -> bool:
        """Remove what is older than `days`, some of it; True: there is more."""
        self.forget()
        oldest = datetime.fromtimestamp(self._now_s()).astimezone().date() - timedelta(days=self._days)
        budget = [_AT_ONCE]
        for name, _ in names_in(wire, self._remote.path(TRASH)):
            try:
                day = date.fromisoformat(name.decode("ascii", "replace"))
            except ValueError:
                continue  # not ours
            if day < oldest:
                self._remove(wire, self._remote.path((*TRASH, name)), budget)
                if budget[0] <= 0:
                    return True
        return False

    def _remove(self, wire: Wire, directory: bytes, budget: list[int]) -> None:
        """Remove a tree until the budget is used up."""
        for name, found in names_in(wire, directory):
            self._remote.check_cancelled()
            if budget[0] <= 0:
                return
            below = directory + b"/" + name
            if is_directory(found):
                self._remove(wire, below, budget)
            else:
                wire.done(wire.remove(below))
                budget[0] -= 1
        if budget[0] > 0:
            wire.done(wire.ask(Type.RMDIR, text(directory)))
            budget[0] -= 1


def names_in(wire: Wire, directory: bytes) -> list[tuple[bytes, Attributes]]:
    """All that stands in one directory. Raises Refused."""
    handle = wire.handle(wire.ask(Type.OPENDIR, text(directory)))
    found: list[tuple[bytes, Attributes]] = []
    while (some := wire.names(wire.ask(Type.READDIR, text(handle)))) is not None:
        found += some
    wire.done(wire.close_handle(handle))
    return [(name, attributes) for name, attributes in found if name not in (b".", b"..")]
