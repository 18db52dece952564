"""Telling what changes on a disk, while it changes."""

import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from onitufs.drivers.handlers import PRIVATE, Gear, RemotePath, Sighted
from onitufs.model.errors import ServiceError

from . import inotify
from .inotify import Event, Inotify
from .tree import Tree
from .watched import Directory, Elsewhere, WatchedTree
from .writing import Writing

log = logging.getLogger(__name__)

Name = tuple[Directory, bytes]
Tell = Callable[[Sighted], Awaitable[None]]

GATHER_S = 0.2
"""How long after the first of several changes they are told, all at once."""
_PAUSE_S = 0.02
"""Between two readings of the queue, so that the kernel can merge what repeats itself."""
HOLD_S = 0.5
"""How long a directory that was moved away may take to turn up elsewhere."""
CHECK_S = 10.0
"""How often it is seen whether the root still is the place that it was: nothing tells when it is mounted over."""
POLL_S = 60.0
"""How often all is told to be looked through, where not all can be watched."""
_TOLD_AT_ONCE = 1000
_REMOVED_AT_ONCE = 2000
_SLICES = 64
_NO_QUEUE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSYS}


async def poll(every_s: float, gear: Gear, check: Callable[[], object], tell: Tell) -> None:
    """Tell everything to be looked through, now and then. `check` raises if the root is another place."""
    while True:
        await gear.run(check)
        await tell(Sighted(below=((),)))
        await trio.sleep(every_s)


async def watch(tree: Tree, gear: Gear, check: Callable[[], object], tell: Tell) -> None:
    """Until cancelled. Raises DriverError, OSError."""
    try:
        queue = await gear.run(Inotify)
    except OSError as exc:
        if exc.errno not in _NO_QUEUE:
            raise
        remedy = "raise fs.inotify.max_user_instances (sysctl); until then all is looked through every minute"
        what = f"changes cannot be watched ({exc.strerror})"
        log.warning("entry %s: %s; %s", gear.entry, what, remedy)
        gear.hint(what, remedy)
        await poll(POLL_S, gear, check, tell)
        return
    try:
        await Watcher(tree, queue, gear, check, tell).run()
    finally:
        queue.close()


@dataclass(slots=True)
class _Due:
    """When something is to be done, on trio's clock, in seconds; None: it is not."""

    tell: float | None = None
    check: float = 0.0
    poll: float = float("inf")


class Watcher:
    """Reads one queue of events and tells, gathered, what may have changed."""

    def __init__(self, tree: Tree, queue: Inotify, gear: Gear, check: Callable[[], object], tell: Tell) -> None:
        self._queue = queue
        self._gear = gear
        self._check = check
        self._tell_them = tell
        self._root = tree.root
        self._watched = WatchedTree(tree, queue, gear.check_cancelled)
        self._writing: Writing[Name] = Writing()
        self._names: dict[Name, None] = {}  # to be told
        self._below: dict[Directory, None] = {}  # to be told with all that is in them
        self._to_arm: dict[Name, float] = {}  # until when they may be out of reach
        self._away: dict[Directory, float] = {}  # moved from where they were; until when they may turn up elsewhere
        self._to_remove: list[int] = []
        self._overflown = False
        self._due = _Due()
        self._said_full = False

    async def run(self) -> None:
        await self._arm_all()
        self._due.tell = trio.current_time()
        while True:
            await self._read()
            await self._follow()
            now = trio.current_time()
            self._expire(now)
            if now >= self._due.check:
                await self._gear.run(self._check)
                self._due.check = trio.current_time() + CHECK_S
            if self._due.tell is not None and now >= self._due.tell:
                await self._tell()
            with trio.move_on_at(self._next()):
                await trio.lowlevel.wait_readable(self._queue.fd)
                await trio.sleep(_PAUSE_S)

    def _next(self) -> float:
        """When to go on although no event comes."""
        now = trio.current_time()
        if self._to_remove or self._overflown:
            return now
        out_of_reach = (until for until in self._to_arm.values() if until > now)
        dues = [self._due.check, self._due.poll, self._writing.due(), *self._away.values(), *out_of_reach]
        return min(dues if self._due.tell is None else [*dues, self._due.tell])

    def _gather(self) -> None:
        if self._due.tell is None:
            self._due.tell = trio.current_time() + GATHER_S

    # -- events --------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Take in what is queued, by slices: others have a turn between them."""
        for _ in range(_SLICES):
            events = self._queue.read()
            for event in events:
                self._take(event)
            await trio.lowlevel.checkpoint()
            if not events:
                return

    def _take(self, event: Event) -> None:
        mask = event.mask
        if mask & inotify.OVERFLOW:
            self._overflown = True
            return
        directory = self._watched.get(event.watch)
        if directory is None:
            return  # not watched any more
        if not event.name:
            self._take_own(directory, mask)
            return
        if directory is self._watched.root and event.name == PRIVATE:
            if not mask & inotify.ATTRIB:
                self._due.check = 0.0
            return
        name = directory, event.name
        if mask & inotify.IS_DIRECTORY:
            self._take_directory(name, mask)
        elif mask & (inotify.CREATE | inotify.MODIFY):
            self._writing.wrote(name, trio.current_time())
            return
        elif mask & inotify.ATTRIB and name in self._writing:
            return
        else:
            self._writing.closed(name)
        self._names[name] = None
        self._gather()

    def _take_own(self, directory: Directory, mask: int) -> None:
        """What concerns the directory itself; its name's events come to the one above."""
        if directory is self._watched.root and mask & (
            inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT | inotify.IGNORED
        ):
            raise ServiceError(f"{self._root} was moved, removed or unmounted; it is opened again by itself")
        if mask & inotify.IGNORED:
            self._watched.forget(directory)
            self._away.pop(directory, None)

    def _take_directory(self, name: Name, mask: int) -> None:
        if mask & inotify.MOVED_FROM:
            moved = name[0].children.get(name[1])
            if moved is not None:
                self._watched.detach(moved)
                self._away[moved] = trio.current_time() + HOLD_S
        elif mask & (inotify.CREATE | inotify.MOVED_TO):
            self._to_arm[name] = trio.current_time() + HOLD_S

    # -- the tree ------------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Watch what is new, and what was moved where it is now. Until then no event of it is taken for another's."""
        if self._overflown:
            self._overflown = False
            await self._arm_all()
        if self._to_arm:
            await self._gear.run(self._arm, trio.current_time())
            self._gather()
        if self._to_remove:
            watches, self._to_remove = self._to_remove[:_REMOVED_AT_ONCE], self._to_remove[_REMOVED_AT_ONCE:]
            await self._gear.run(self._remove, watches)
        self._say_full()

    def _remove(self, watches: list[int]) -> None:
        for number in watches:
            if self._watched.get(number) is None:  # else it has turned up meanwhile
                self._queue.remove(number)

    def _arm(self, now: float) -> None:
        """In a thread. What is to be watched in a directory that is away itself waits until that turns up."""
        waiting, self._to_arm = self._to_arm, {}
        while waiting:
            left: dict[Name, float] = {}
            for name, until in waiting.items():
                directory = name[0]
                if self._watched.path(directory) is None:
                    if directory.top() in self._away:
                        left[name] = until
                    continue
                try:
                    is_new = self._watched.arm(*name)
                except Elsewhere:
                    if now < until:
                        left[name] = until
                    else:
                        self._overflown = True  # all that was to be read has been: how it came to be, only a look tells
                    continue
                if is_new or self._watched.full:
                    self._names[name] = None
                    new = directory.children.get(name[1])
                    self._below[directory if new is None else new] = None
                self._away |= dict.fromkeys(self._watched.displaced(), now + HOLD_S)
            for directory in [each for each in self._away if each.parent is not None]:
                del self._away[directory]
            if len(left) == len(waiting):
                self._to_arm = left
                return
            waiting = left

    async def _arm_all(self) -> None:
        self._to_remove += await self._gear.run(self._watched.arm_all)
        self._to_arm.clear()
        self._away.clear()
        self._names.clear()
        self._below = {self._watched.root: None}
        self._gather()

    def _expire(self, now: float) -> None:
        for directory in [directory for directory, until in self._away.items() if now >= until]:
            del self._away[directory]
            self._to_remove += self._watched.forget_below(directory)
        for name in self._writing.expired(now):
            self._names[name] = None
            self._gather()
        if now >= self._due.poll:
            self._overflown = True  # perhaps more can be watched by now
            self._due.poll = now + POLL_S
            self._gather()

    def _say_full(self) -> None:
        if not self._watched.full:
            if self._due.poll != float("inf"):
                self._gear.hint("", "")
            self._due.poll = float("inf")
        elif self._due.poll == float("inf"):
            self._due.poll = trio.current_time() + POLL_S
            remedy = "raise fs.inotify.max_user_watches (sysctl); until then all is looked through every minute"
            what = f"the system lets only {len(self._watched)} directories be watched"
            self._gear.hint(what, remedy)
            if not self._said_full:
                self._said_full = True
                log.warning("entry %s: %s; %s", self._gear.entry, what, remedy)

    # -- telling -------------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        self._due.tell = None
        names, listed, self._names, self._below = self._names, self._below, {}, {}
        paths: list[RemotePath] = []
        below: set[RemotePath] = set()
        for directory in listed:
            path = self._watched.path(directory)
            if path is not None:
                below.add(path)
            elif directory.top() in self._away:
                self._below[directory] = None
        for name in names:
            path = self._watched.path(name[0])
            if path is not None:
                paths.append((*path, name[1]))
            elif name[0].top() in self._away:
                self._names[name] = None
        if self._names or self._below:
            self._gather()
        below = {path for path in below if not _in_one_of(path[:-1], below - {path})}
        paths = [path for path in paths if () not in below and not _in_one_of(path[:-1], below)]
        start = 0
        while start < len(paths) or below:
            await self._tell_them(Sighted(paths=tuple(paths[start : start + _TOLD_AT_ONCE]), below=tuple(below)))
            below = set()
            start += _TOLD_AT_ONCE


def _in_one_of(path: RemotePath, directories: set[RemotePath]) -> bool:
    """Whether it is one of them or in one."""
    return bool(directories) and any(path[:depth] in directories for depth in range(len(path) + 1))
