"""Fetches small files ahead: the next ones in a directory whose small files a program reads one after the other.

Each of them alone costs its reader round trips, and us a call in a thread. Many come in one call, while the program is
still busy with those before. What is fetched ahead in vain is little, and what fails counts for nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from onitufs.content.partial import Partial
from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy
from onitufs.model.digests import is_one_of
from onitufs.model.errors import NoEntry, OnituError
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import EntryName, GenerationId, InodeNumber
from onitufs.volume import Volume

from .holders import Holders, Wanted, wanted_of
from .reading_ahead import LITTLE_S, PIECE_S

SMALL_BYTES = 256 << 10
AFTER = 4  # so many were read in order before any is fetched ahead
LEAST, MOST = 8, 64  # files fetched at one time; twice as many each time
MOST_BYTES = 4 << 20
REACH = 16  # who skips fewer names than that still reads in order
LONG_S = 30.0  # after so long a pause it begins anew
_MOST_RUNS = 100
_BREATH = 8  # files recorded before others on the loop get their turn

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    """Somebody reads the small files of one directory in the order of their names."""

    first: bytes
    last: bytes
    reached: bytes  # up to this name all has been asked for
    at_s: float
    length: int = 1
    ahead: int = LEAST
    is_busy: bool = False
    is_followed: bool = False  # somebody waits for what is fetched ahead just now


@dataclass(slots=True, eq=False)
class _Ahead:
    """A file that is fetched ahead."""

    run: _Run
    number: InodeNumber
    wanted: Wanted
    size: int
    copy: Copy
    path: RemotePath
    done: trio.Event = field(default_factory=trio.Event)

    @property
    def generation(self) -> GenerationId:
        return self.wanted.generation


class Neighbours:
    """`start` starts a task. `under_way`: files that somebody fetches otherwise. `calls`: what calls for one file, that
    nobody waits for yet, need of an entry's."""

    def __init__(
        self,
        volume: Volume,
        holders: Holders,
        start: Callable[..., None],
        under_way: Callable[[InodeNumber], bool],
        calls: Callable[[EntryName], trio.CapacityLimiter],
        *,
        stall_s: float,
        bound_s: float,
    ) -> None:
        self._volume = volume
        self._holders = holders
        self._start = start
        self._under_way = under_way
        self._calls = calls
        self._stall_s = stall_s
        self._bound_s = bound_s
        self._runs: dict[InodeNumber, _Run] = {}  # by directory
        self._ahead: dict[InodeNumber, _Ahead] = {}

    # -- who reads in order --------------------------------------------------------------------------------------------

    async def arrival(self, number: InodeNumber) -> None:
        """If this file is being fetched ahead, wait until it is here, or did not come."""
        ahead = self._ahead.get(number)
        if ahead is not None:
            ahead.run.is_followed = True
            await ahead.done.wait()

    def wanted(self, inode: Inode) -> None:
        """All of this absent file is needed now, and somebody fetches it. Raises nothing: a bug here is no reader's."""
        try:
            self._wanted(inode)
        except Exception:
            log.exception("nothing is fetched ahead")

    def _wanted(self, inode: Inode) -> None:
        if inode.size > SMALL_BYTES or not inode.files or (name := self._volume.name(inode.files[0])) is None:
            return
        now_s = trio.current_time()
        run = self._runs.pop(name.parent, None)
        if run is None or not self._goes_on(run, name.parent, name.name, now_s):
            run = _Run(name.name, name.name, name.name, now_s)
            while len(self._runs) >= _MOST_RUNS:
                del self._runs[next(iter(self._runs))]
        else:
            run.last, run.at_s, run.length = max(run.last, name.name), now_s, run.length + 1
        self._runs[name.parent] = run
        if run.length >= AFTER and not run.is_busy:
            self._begin(run, name.parent)

    def _goes_on(self, run: _Run, directory: InodeNumber, name: bytes, now_s: float) -> bool:
        if now_s - run.at_s > LONG_S or name < run.first:
            return False
        last = max(run.last, run.reached)
        return name <= last or any(name == near for near, _ in self._volume.list_directory(directory, last, REACH))

    # -- fetching ------------------------------------------------------------------------------------------------------

    def _begin(self, run: _Run, directory: InodeNumber) -> None:
        """Fetch the next ones of this directory."""
        run.reached = max(run.reached, run.last)
        some: list[_Ahead] = []
        size, most = 0, float(MOST_BYTES)
        for name, dirent in self._volume.list_directory(directory, run.reached, 2 * run.ahead):
            ahead = self._candidate(run, dirent.inode) if dirent.kind is Kind.FILE else None
            if ahead is not None:
                most = min(most, PIECE_S * self._holders.speed(ahead.copy.entry).bytes_per_s)
                if len(some) == run.ahead or size + ahead.size > most:
                    break
                some.append(ahead)
                size += ahead.size
            run.reached = name
        if some and self._volume.space.left >= size:
            run.ahead = min(2 * run.ahead, MOST)
            run.is_busy, run.is_followed = True, False
            self._ahead.update((each.number, each) for each in some)
            self._start(self._bring, run, directory, some)

    def _candidate(self, run: _Run, number: InodeNumber) -> _Ahead | None:
        if number in self._ahead or self._under_way(number):
            return None
        try:
            inode = self._volume.peek(number)
        except NoEntry:
            return None
        if not inode.absent or not 0 < inode.size <= SMALL_BYTES:
            return None
        wanted = wanted_of(inode)
        copy = next(iter(self._holders.of(wanted)), None)
        if copy is None or not self._pays(self._holders.plug(copy)):
            return None
        return _Ahead(run, number, wanted, inode.size, copy, self._holders.path(copy))

    def _pays(self, plug: Plug) -> bool:
        """Whether the entry answers, and its files one at a time would be slow."""
        return plug.reads_many or (plug.is_connected and self._holders.speed(plug.entry).latency_s > LITTLE_S)

    async def _bring(self, run: _Run, directory: InodeNumber, some: list[_Ahead]) -> None:
        groups: dict[EntryName, list[_Ahead]] = {}
        for each in some:
            groups.setdefault(each.copy.entry, []).append(each)
        try:
            with trio.move_on_after(self._bound_s):
                async with trio.open_nursery() as nursery:
                    for group in groups.values():
                        plug = self._holders.plug(group[0].copy)
                        nursery.start_soon(self._together if plug.reads_many else self._each_alone, plug, group)
        except Exception:
            log.exception("fetching ahead failed")
        finally:
            run.is_busy = False
            for each in some:
                self._end(each)
        if run.is_followed and self._runs.get(directory) is run:  # who was waiting will want more
            try:
                self._begin(run, directory)
            except Exception:
                log.exception("nothing more is fetched ahead")

    async def _together(self, plug: Plug, group: list[_Ahead]) -> None:
        size = sum(each.size for each in group)
        try:
            with self._holders.measuring(plug.entry, size), self._holders.patient(plug.entry, self._stall_s):
                came = await plug.read_many([(each.path, each.copy.rev) for each in group])
            for number, (each, data) in enumerate(zip(group, came, strict=True)):
                if isinstance(data, bytes):
                    self._arrived(each, data)
                self._end(each)
                if number % _BREATH == 0:
                    await trio.lowlevel.checkpoint()
        except (OnituError, OSError, trio.TooSlowError):
            pass  # who needs one of them asks for it by itself, and is told

    async def _each_alone(self, plug: Plug, group: list[_Ahead]) -> None:
        async with trio.open_nursery() as nursery:
            for each in group:
                nursery.start_soon(self._alone, plug, each)

    async def _alone(self, plug: Plug, each: _Ahead) -> None:
        try:
            async with self._calls(plug.entry):
                with self._holders.measuring(plug.entry, each.size), self._holders.patient(plug.entry, self._stall_s):
                    data = await plug.read(each.path, each.copy.rev, 0, each.size)
            self._arrived(each, data)
        except (OnituError, OSError, trio.TooSlowError):
            pass  # as above
        self._end(each)

    def _end(self, each: _Ahead) -> None:
        if self._ahead.get(each.number) is each:
            del self._ahead[each.number]
        each.done.set()

    def _arrived(self, each: _Ahead, data: bytes) -> None:
        """Raises OSError."""
        right = len(data) == each.size and is_one_of(data, self._holders.digests(each.wanted))
        if not right or not self._volume.is_absent(each.number, each.generation):
            return
        content, fd = self._volume.begin_fetch()
        partial = Partial(content, fd, each.size)
        try:
            partial.put(partial.blocks(0, each.size), data)
        except OSError:
            self._volume.abandon(content)
            raise
        finally:
            partial.close()
        self._volume.space.take(each.size, late=True)
        self._volume.arrived(each.number, each.generation, content)
