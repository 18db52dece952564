"""Finding out what others change on a server, which tells nobody: by looking, as cheaply as can be.

A directory's time says whether names came, went or were renamed in it: one request each, hundreds in a round trip. What
was edited in place only a list shows. So all directories' times are looked at often, and all is listed as often as that
takes a twentieth of the time at most: a small tree each time, one of 100,000 files every minute or two.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import trio

from onitufs.drivers.handlers import PRIVATE, Gear, RemotePath, Sighted
from onitufs.model.errors import NameNotAllowed, ServiceError
from onitufs.model.files import Kind, kind_of

from .listing import SETTLED_S, Names, list_many
from .packets import Attributes, Code
from .placed import Placed
from .pool import Lane
from .remote import Remote, look
from .seen import AGAIN, UNSETTLED, Seen, SeenStore
from .states import is_directory
from .wire import Refused, Wire

Tell = Callable[[Sighted], Awaitable[None]]

SOONEST_S = 0.1
_SHARE = 20
"""Listing everything takes one part in so many of the time, at most."""
_TIMES_AT_ONCE = 256
_LISTS_AT_ONCE = 32
_TOLD_AT_ONCE = 1000
_DIRECTORY = 1
"""What is noted of a directory: only that it is one. Its own list tells the rest."""


@dataclass(slots=True)
class _News:
    paths: dict[RemotePath, None] = field(default_factory=dict)
    below: dict[RemotePath, None] = field(default_factory=dict)


class Watcher:
    """Looks through one root, again and again. `every_s`: how often."""

    def __init__(self, remote: Remote, gear: Gear, placed: Placed, every_s: float) -> None:
        self._remote = remote
        self._gear = gear
        self._placed = placed
        self._every_s = max(every_s, SOONEST_S)
        self._store: SeenStore
        self._all_due_s = 0.0  # on the monotonic clock

    async def run(self, cursor: str | None, tell: Tell) -> None:
        """As Watches.watch says."""
        try:
            self._store = await self._gear.run(SeenStore, self._gear.work_dir / "seen.sqlite", self._remote.identity)
        except (OSError, sqlite3.Error) as exc:
            raise ServiceError(f"{self._gear.work_dir} cannot be used: {exc}") from exc
        try:
            await self._tell(tell, await self._gear.run(self._first, cursor), always=True)
            while True:
                await trio.sleep(self._every_s)
                await self._tell(tell, await self._gear.run(self._sweep))
        except sqlite3.Error as exc:
            raise ServiceError(f"{self._gear.work_dir} cannot be used: {exc}") from exc
        finally:
            self._store.close()

    async def _tell(self, tell: Tell, news: _News, *, always: bool = False) -> None:
        below = tuple(news.below)
        paths = [path for path in news.paths if not _in_one_of(path, news.below)]
        if not (paths or below or always):
            return
        while len(paths) > _TOLD_AT_ONCE:
            await tell(Sighted(paths=tuple(paths[:_TOLD_AT_ONCE])))
            paths = paths[_TOLD_AT_ONCE:]
        await tell(Sighted(paths=tuple(paths), below=below, cursor=self._store.cursor))

    # -- in threads ---------------------------------------------------------------------------------------------------

    def _first(self, cursor: str | None) -> _News:
        """Everything since the cursor; if that is not known, all is to be looked through."""
        since = self._store.since(cursor) if self._placed.is_whole else None
        news = self._sweep()
        if since is None:
            return _News(below={(): None})
        news.paths.update(dict.fromkeys(since[0]))
        news.below.update(dict.fromkeys(since[1]))
        return news

    def _sweep(self) -> _News:
        """Look once. What is new is written down before it is told."""
        news = _News(dict.fromkeys(self._placed.take()))
        began_s = time.monotonic()
        everything = began_s >= self._all_due_s
        try:
            with self._remote.wire(Lane.NAMES) as wire:
                look(self._remote, wire)  # still the place that it was
                if everything:
                    self._list(wire, [()], news, everything=True)
                else:
                    self._list(wire, self._changed(wire), news, everything=False)
                look(self._remote, wire)
            self._remote.tidy()
            if news.paths or news.below:
                self._store.note(list(news.paths), list(news.below))
            self._store.commit()
            self._placed.told()
        except BaseException:
            self._store.undo()
            raise
        now_s = time.monotonic()
        if everything:
            self._all_due_s = now_s + _SHARE * (now_s - began_s)
        return news

    def _server_now_s(self) -> float:
        return time.time() + self._remote.ahead_s

    def _settled(self, found: Attributes) -> bool:
        """Whether what changes from now on shows another time."""
        return abs(self._server_now_s() - found.mtime_s) > SETTLED_S

    def _changed(self, wire: Wire) -> list[RemotePath]:
        """The directories whose time says that they are to be listed."""
        changed = []
        known = self._store.times()
        for start in range(0, len(known), _TIMES_AT_ONCE):
            self._gear.check_cancelled()
            some = known[start : start + _TIMES_AT_ONCE]
            asked = [wire.lstat(self._remote.path(path)) for path, _ in some]
            for (path, mtime_s), number in zip(some, asked, strict=True):
                try:
                    found = wire.found(number)
                except Refused:
                    continue  # unknown is not gone
                if is_directory(found) and found is not None and (mtime_s == AGAIN or found.mtime_s != mtime_s):
                    changed.append(path)
        return changed

    def _list(self, wire: Wire, directories: Iterable[RemotePath], news: _News, *, everything: bool) -> None:
        """List these and what is new below them; `everything`: and all that is below them."""
        left = deque(directories)
        while left:
            self._gear.check_cancelled()
            some = [path for _ in range(min(_LISTS_AT_ONCE, len(left))) if self._can_be_asked(path := left.popleft())]
            asked = [wire.lstat(self._remote.path(path)) for path in some]
            lists = list_many(wire, [self._remote.path(path) for path in some])
            for path, number, names in zip(some, asked, lists, strict=True):
                try:
                    found = wire.found(number)
                except Refused:
                    continue
                if isinstance(names, Refused):
                    if names.code == Code.NO_SUCH_FILE and path:
                        self._store.drop(path)
                        news.paths[path] = None
                    continue
                if found is not None:
                    left.extend(self._compare(path, found, names, news, everything=everything))

    def _can_be_asked(self, path: RemotePath) -> bool:
        """Others may have made paths that are too long for the protocol: nothing in there can be seen."""
        try:
            self._remote.path(path)
        except NameNotAllowed:
            return False
        return True

    def _compare(
        self, path: RemotePath, directory: Attributes, names: Names, news: _News, *, everything: bool
    ) -> list[RemotePath]:
        """Note what is in a directory; the directories in it that are to be listed, too."""
        if not path:
            names.pop(PRIVATE, None)
        old = self._store.get(path)
        new: Seen = {}
        for name, found in names.items():
            kind = kind_of(found.mode)
            if kind is Kind.DIRECTORY:
                new[name] = _DIRECTORY
            elif kind is not Kind.SPECIAL:
                new[name] = _number(found) if self._settled(found) else UNSETTLED
        mtime_s = directory.mtime_s if self._settled(directory) else AGAIN
        if UNSETTLED in new.values():
            mtime_s = AGAIN
        self._store.put(path, mtime_s, None if new == old else new)
        directories = [(*path, name) for name, number in new.items() if number == _DIRECTORY]
        if old is None:
            return directories
        for name, number in old.items():
            if name not in new:
                news.paths[(*path, name)] = None
            if number == _DIRECTORY and new.get(name) != _DIRECTORY:
                self._store.drop((*path, name))
        for name, number in new.items():
            before = old.get(name)
            # What was changed just now is told when it is at rest, or when it still is not at the next look.
            if number == UNSETTLED and before != UNSETTLED:
                continue
            if number != before or number == UNSETTLED:
                news.paths[(*path, name)] = None
                if number == _DIRECTORY:
                    news.below[(*path, name)] = None
        return directories if everything else [each for each in directories if old.get(each[-1]) != _DIRECTORY]


def _number(found: Attributes) -> int:
    """Stands for all that the server says of an object; the same in every process. Never one that means something."""
    number = hash((found.size, found.mtime_s, found.mode, found.uid, found.gid))
    return number if number not in {UNSETTLED, _DIRECTORY, AGAIN} else 7


def _in_one_of(path: RemotePath, directories: dict[RemotePath, None]) -> bool:
    return any(path[:depth] in directories for depth in range(len(path)))
