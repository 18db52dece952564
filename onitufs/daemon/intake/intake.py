"""The work list of one entry's intake: what was told first, then what is gone, then what is listed."""

import heapq
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeVarTuple

import trio

from onitufs.drivers.handlers import PRIVATE, RemotePath, Sighted
from onitufs.drivers.progress import rest
from onitufs.model.copies import Copy, Found, Place
from onitufs.model.errors import DriverError, Gone
from onitufs.model.files import Kind
from onitufs.model.ids import FileId

from .arriving import Arriving
from .feed import Feed
from .losing import Losing, Wave
from .outside import Outside

AGAIN_S = 0.3  # a place where something was under way is looked at again after this
AT_MOST_AGAIN_S = 30.0
RESCAN_S = 300.0  # how often an entry is listed whose driver cannot watch
MOST_HINTS = 20_000  # with more than that, listing everything is cheaper
TOGETHER = 100  # paths that are looked at in one call
AHEAD = 2000  # of so many that wait, those of one directory are looked at together
SLICE = 25  # names of a listing that are compared before other tasks get a turn
TROUBLE_S = 1.0
LOOKED_FOR_S = 10.0  # so long a directory that is not where it was is expected to be told of by another name
FORGOTTEN_S = 60.0  # after which it is looked for anew

Ts = TypeVarTuple("Ts")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far listing the entry has come, for people."""

    names: int = 0
    directories_left: int = 0
    complete: bool = False  # all that is there has been seen once


class Intake:
    """Takes what others did on one entry into the mount. `ask_user` is told of a Wave; then settle() is waited for."""

    def __init__(
        self,
        outside: Outside,
        *,
        ask_user: Callable[[Wave], None],
        pace: Callable[[float], float],
        room_to_tell: Callable[[], Awaitable[None]],
        feed: Feed,
    ) -> None:
        self._outside = outside
        self._entry = outside.entry
        self._plug = outside.plug
        self._placements = outside.placements
        self._ask_user = ask_user
        self._pace = pace
        self._room_to_tell = room_to_tell
        self._feed = feed
        self.progress = Progress()
        self._hints: dict[RemotePath, None] = {}
        self._later: list[tuple[float, RemotePath, bool]] = []  # when, what, whether it is to be listed
        self._tries: dict[RemotePath, int] = {}
        self._to_list: dict[RemotePath, None] = {}  # the last one first, so that few wait
        self._plug.on_remade = self.list_again
        self._plug.on_missing = self._look_for
        self._missing: dict[RemotePath, float] = {}  # since when directories are looked for
        self._together = TOGETHER
        self._wake = trio.Event()
        self._halted = False  # the user is being asked
        self._all_is_to_be_seen = False  # everything is being listed
        self._losing = Losing(outside, look_again=self._look_again)
        self._arriving = Arriving(
            outside, look_again=self._look_again, list_again=self.list_again, missing=self._losing.suspect
        )

    # -- hints ---------------------------------------------------------------------------------------------------------

    def look(self, path: RemotePath) -> None:
        """Something may have changed at this path."""
        if not path:
            return
        if len(self._hints) >= MOST_HINTS:
            self._hints.clear()
            self.list_again(())
            return
        self._hints[path] = None
        self._wake.set()

    def list_again(self, path: RemotePath) -> None:
        """Anything may have changed in this directory and below it."""
        if not path:
            self.progress = Progress()
            self._all_is_to_be_seen = True
        self._to_list.pop(path, None)
        self._to_list[path] = None
        self._wake.set()

    def suspect(self, copy: Copy) -> bool:
        """An object of this entry, which may be parked, is not what its Copy says. Whether it can be looked at."""
        path = self._outside.path(copy)
        if path is None:
            return False
        self.look(path)
        if copy.kind is Kind.DIRECTORY:
            self.list_again(path)
        return True

    def _look_for(self, directory: RemotePath) -> bool:
        """Something is to be placed in a directory that is not there. Whether it may have another name by now, which is
        told soon: else, and after a while, whoever asks makes it again."""
        known = [copy for depth in range(len(directory)) if (copy := self._outside.copy(directory[: depth + 1]))]
        if self._halted or not self._plug.can("watch") or not any(copy.remote_id for copy in known):
            return False
        now_s = trio.current_time()
        if self._missing.get(directory, -FORGOTTEN_S) < now_s - FORGOTTEN_S:
            if len(self._missing) >= MOST_HINTS:
                self._missing.clear()
            self._missing[directory] = now_s
        if now_s > self._missing[directory] + LOOKED_FOR_S:
            return False
        for depth in range(len(directory)):
            self.look(directory[: depth + 1])
        return True

    def _look_again(self, path: RemotePath, *, listing: bool = False) -> None:
        """Something is in the way of judging what is there: soon, and less soon each time."""
        if len(self._later) >= MOST_HINTS:
            self.list_again(())
            return
        tries = self._tries[path] = self._tries.get(path, 0) + 1
        wait_s = min(AGAIN_S * 1.5 ** (tries - 1), AT_MOST_AGAIN_S)
        heapq.heappush(self._later, (trio.current_time() + wait_s, path, listing))
        self._wake.set()

    # -- the user's answer ---------------------------------------------------------------------------------------------

    def halt(self) -> None:
        """Do nothing until settle()."""
        self._halted = True

    def settle(self, *, accept: bool = False, restore: bool = False) -> None:
        """The user has decided about what is gone: it is deleted here too, or placed there again."""
        self._halted = False
        self._losing.answer(accept=accept, restore=restore)
        self._arriving.trusts = not restore
        self.list_again(())

    # -- running -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled. A bug that one entry brings to light ends in the log, and its intake begins anew.

        Raises OSError, in a group, if the catalog cannot be written.
        """
        while True:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch)
                    await self._work()
            except* OSError:
                raise
            except* Exception:
                log.exception("a bug in taking over what is on an entry", extra={"entry": self._entry})
            await trio.sleep(TROUBLE_S)
            self.list_again(())

    async def _watch(self) -> None:
        """Be told what changes, as long as the entry is connected; else list everything now and then."""
        while True:
            await self._plug.connected()
            if not self._plug.can("watch"):
                self.list_again(())
                await trio.sleep(RESCAN_S)
                continue
            try:
                await self._plug.watch(self._feed.cursor, self._told)
            except DriverError as error:
                log.debug("watching ended", extra={"entry": self._entry, "why": str(error)})
            await trio.sleep(TROUBLE_S)

    async def _told(self, sighted: Sighted) -> None:
        for path in sighted.paths:
            if path[:1] != (PRIVATE,):
                self.look(path)
        for directory in sighted.below:
            if directory[:1] != (PRIVATE,):
                self.list_again(directory)
        self._feed.told(sighted.cursor)
        self._wake.set()

    async def _work(self) -> None:
        while True:
            self._wake = trio.Event()
            began_s = trio.current_time()
            await self._room_to_tell()
            if not self._halted and await self._some():
                await rest(self._pace, trio.current_time() - began_s)
                continue
            with trio.move_on_at(self._due_s()):
                await self._wake.wait()
            await self._plug.connected()

    def _due_s(self) -> float:
        if self._halted:
            return float("inf")
        return min(self._losing.due_s, self._later[0][0] if self._later else float("inf"))

    async def _some(self) -> bool:
        """Some of what is to be done; whether there was anything."""
        now_s = trio.current_time()
        while self._later and self._later[0][0] <= now_s:
            _, path, listing = heapq.heappop(self._later)
            if listing:
                self.list_again(path)
            else:
                self._hints[path] = None
        if self._hints:
            await self._look_at_some()
        elif self._to_list:
            await self._list_one()
        elif self._losing.due_s <= now_s:  # after all was listed: what is gone may have another name by now
            await self._take_out()
        else:
            self._all_seen()
            return False
        return True

    async def _look_at_some(self) -> None:
        """One look at many of the paths that were told; most of them are our own changes, and no news.

        What was seen is judged path by path. It counts as long as no order of ours has ended since the look, be it done
        or not; what others have done since is told again, as what is looked at was taken from what was told before.
        """
        paths = self._next_told()
        known = [path for path in paths if self._outside.place(path) is not None]
        epoch = self._outside.epoch
        try:
            answers = await self._plug.look_at(known)
        except DriverError:
            answers = []
        seen: dict[RemotePath, Found | None] = {
            path: found for path, found in zip(known, answers, strict=False) if not isinstance(found, DriverError)
        }
        for path in paths:
            place = self._outside.place(path)
            if path in seen and self._is_no_news(path, seen[path]):
                self._tries.pop(path, None)
            elif path in seen and place is not None and self._outside.epoch == epoch:
                await self._try(path, self._arriving.take, path, place, seen[path], epoch)
            elif place is None and path[:-1] in self._to_list:
                self._tries.pop(path, None)  # the list will have it
            elif place is not None and len(paths) > 1 and (path in seen or path not in known):
                self._hints[path] = None  # it was seen too early, or its directory came to be known just now
            else:
                await self._try(path, self._arriving.look, path)
        fewer = self._outside.epoch != epoch  # they are seen more quickly
        self._together = max(1, self._together // 2) if fewer else min(TOGETHER, self._together * 2)

    def _next_told(self) -> list[RemotePath]:
        """Paths to look at now, those of one directory together: a driver may have them for the price of one."""
        told: dict[RemotePath, list[RemotePath]] = {}
        for path in islice(self._hints, AHEAD):
            told.setdefault(path[:-1], []).append(path)
        paths = list(islice(chain.from_iterable(told.values()), self._together))
        for path in paths:
            del self._hints[path]
        return paths

    def _is_no_news(self, path: RemotePath, found: Found | None) -> bool:
        """Whether what was found is what is known now, so that there is nothing to judge, whatever is under way."""
        place = self._outside.place(path)
        if place is None:
            return False
        copy = self._placements.at(self._entry, place)
        if copy is None or found is None:
            return copy is None and found is None
        return _is_as_known(copy, found)

    async def _try(self, path: RemotePath, look: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Look at one path. What keeps it from being judged keeps no other from it."""
        tries = self._tries.get(path)
        try:
            await look(*args)
        except DriverError as error:
            log.debug("looking at an entry failed", extra={"entry": self._entry, "why": str(error)})
            if self._plug.is_connected:
                self._look_again(path)
            else:
                self._hints[path] = None
            await self._plug.connected()
        except OSError:
            raise
        except Exception:
            shown = b"/".join(path).decode(errors="backslashreplace")
            log.exception("a bug in looking at an entry", extra={"entry": self._entry, "path": shown})
            self._feed.doubt()
        if self._tries.get(path) == tries:
            self._tries.pop(path, None)

    async def _take_out(self) -> None:
        try:
            wave = await self._losing.take_out()
        except DriverError as error:
            log.debug("looking at an entry failed", extra={"entry": self._entry, "why": str(error)})
            await trio.sleep(TROUBLE_S)
            await self._plug.connected()
            return
        if wave is not None:
            self._halted = True
            self._ask_user(wave)

    def _all_seen(self) -> None:
        """All is listed. What cannot be looked at, yet or ever, is unknown, and the user's answer is not about that."""
        if len(self._losing):
            return
        if not self.progress.complete:
            self.progress.complete = True
            self._losing.answered()
            self._arriving.trusts = True
        if self._later:
            return
        if self._all_is_to_be_seen:
            self._all_is_to_be_seen = False
            self._feed.listed()
        self._feed.taken_over()

    # -- listing -------------------------------------------------------------------------------------------------------

    async def _list_one(self) -> None:
        path = next(reversed(self._to_list))
        del self._to_list[path]
        directory = self._outside.directory(path)
        epoch = self._outside.epoch
        try:
            if directory is None:
                await self._list_once_known(path)
                return
            listed: list[tuple[bytes, Found]] = await self._plug.list_directory(path)
        except Gone:
            self.look(path)
            return
        except DriverError as error:
            log.debug("listing an entry failed", extra={"entry": self._entry, "why": str(error)})
            if self._plug.is_connected:
                self._look_again(path, listing=True)
            else:
                self._to_list[path] = None
            await self._plug.connected()
            return
        self._tries.pop(path, None)
        present = {name for name, _ in listed}
        for copy in await self._known_in(directory):
            if copy.place.name not in present:
                self._losing.suspect(copy)
        for number, (name, found) in enumerate(listed):
            await self._compare((*path, name), Place(directory, name), found, epoch)
            self.progress.names += 1
            self.progress.directories_left = len(self._to_list)
            if number % SLICE == SLICE - 1:
                await trio.lowlevel.checkpoint()
                if self._hints:  # what has just been changed goes before what may have been changed long ago
                    await self._look_at_some()

    async def _list_once_known(self, path: RemotePath) -> None:
        """A directory that is there and not known yet: whoever makes it known, us or them, what is in it is news."""
        found: Found | None = await self._plug.look(path)
        if found is not None and found.kind is Kind.DIRECTORY and path[0] != PRIVATE:
            self.look(path)
            self._look_again(path, listing=True)

    async def _known_in(self, directory: FileId) -> list[Copy]:
        copies: list[Copy] = []
        after = b""
        while rows := self._placements.standing_in(self._entry, directory, after, SLICE):
            copies += [copy for _, file in rows if (copy := self._placements.get(file, self._entry)) is not None]
            after = rows[-1][0]
            await trio.lowlevel.checkpoint()
        return copies

    async def _compare(self, path: RemotePath, place: Place, found: Found, epoch: int) -> None:
        if path == (PRIVATE,):
            return
        copy = self._placements.at(self._entry, place)
        if copy is None or not _is_as_known(copy, found):
            await self._try(path, self._arriving.take, path, place, found, epoch)
        if found.kind is Kind.DIRECTORY:
            self._to_list[path] = None


def _is_as_known(copy: Copy, found: Found) -> bool:
    return (copy.kind, copy.rev, copy.remote_id) == (found.kind, found.state.rev, found.state.remote_id)
