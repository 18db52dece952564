"""Which entries to ask for bytes that are not here, in which order, and what is known of those that did not answer."""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import trio

from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy
from onitufs.model.errors import Conflict, DriverError, Gone, ServiceError, Stale
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import EntryName, FileId, GenerationId
from onitufs.volume.placements import Placements

from .speeds import Line, Measured, Speed, said

T = TypeVar("T")

CONNECT_S = 5.0  # what an entry gets that was only just started
CHANGED_S = 10.0
"""How long an entry is not asked again for what was not what we knew; and waited for whoever looks at it now."""
SILENT_S = 60.0  # for so long a file is not waited for again on an entry that let a read of it time out
PAUSES_S = (0.3, 1.0)  # before everybody is asked once more
USUAL_BYTES = 1 << 20  # for so many the fastest entry is looked for
_GIVING = ("up", "full")
_REMEMBERED = 10_000

log = logging.getLogger(__name__)

Call = Callable[[Plug, RemotePath, Copy], Awaitable[T]]
"""Asks one holder. Raises DriverError, and trio.TooSlowError if it did not answer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One generation of a file. `files`: its names, of which any may have a Copy."""

    files: tuple[FileId, ...]
    generation: GenerationId


def wanted_of(inode: Inode) -> Wanted:
    """What an absent inode wants."""
    return Wanted(inode.files, inode.generation)


@dataclass(frozen=True, slots=True)
class _Changed:
    """A Copy whose object is not what we knew."""

    until_s: float  # trio's clock: that long it is taken to be so
    looked_at: bool


@dataclass(slots=True)
class _Round:
    """What came of asking everybody."""

    asked: int = 0
    up: int = 0  # of those that failed
    silent: int = 0
    moved: int = 0
    error: DriverError | None = None


class Holders:
    """The entries whose Copies are of the wanted generation.

    `suspect` is told of a Copy whose object is not what we knew; it says whether somebody looks at that place now, and
    corrects the Copy. That is waited for, and the Copy is not asked again meanwhile. `velocities`: those that differ
    from what drivers say.
    """

    def __init__(
        self,
        placements: Placements,
        plugs: Callable[[], Mapping[EntryName, Plug]],
        suspect: Callable[[Copy], bool] = lambda copy: False,
        velocities: Callable[[], Mapping[EntryName, float]] = dict,
    ) -> None:
        self._suspect = suspect
        self._placements = placements
        self._placements.written = self._written
        self._plugs = plugs
        self._velocities = velocities
        self._measured: defaultdict[EntryName, Measured] = defaultdict(Measured)
        self._lines: defaultdict[EntryName, Line] = defaultdict(Line)
        self._reading: defaultdict[EntryName, dict[trio.CancelScope, tuple[float, float]]] = defaultdict(dict)
        self._answered_s: dict[EntryName, float] = {}
        self._silent_s: dict[tuple[FileId, EntryName], float] = {}
        self._changed: dict[Copy, _Changed] = {}
        self._waiting: dict[FileId, list[trio.Event]] = {}  # for another Copy of the file

    def of(self, wanted: Wanted) -> list[Copy]:
        """The Copies to ask, best first: those of entries that are up, then as fast as is expected."""
        plugs, found = self._plugs(), []
        for file in wanted.files:
            for entry, copy in self._placements.of(file).items():
                good = copy.kind is Kind.FILE and copy.generation == wanted.generation and not self._is_changed(copy)
                if good and entry in plugs and plugs[entry].can("read"):
                    found.append(copy)
        if len(found) < 2:
            return found

        def rank(copy: Copy) -> tuple[bool, float]:
            return plugs[copy.entry].health.state not in _GIVING, self.speed(copy.entry).takes_s(USUAL_BYTES)

        return sorted(found, key=rank)

    def plug(self, copy: Copy) -> Plug:
        """Of the entry that has it; only for one that `of` has just told."""
        return self._plugs()[copy.entry]

    def path(self, copy: Copy) -> RemotePath:
        """Where it stands there."""
        return self._placements.path(copy.entry, copy.place)

    def can_answer(self, wanted: Wanted) -> bool:
        """Whether any entry that should have it is connected."""
        plugs = self._plugs()
        return any(plugs[copy.entry].is_connected for copy in self.of(wanted))

    def digests(self, wanted: Wanted) -> set[bytes]:
        """What is known of these bytes, by whichever entry told it."""
        copies = (copy for file in wanted.files for copy in self._placements.of(file).values())
        return {copy.digest for copy in copies if copy.generation == wanted.generation and copy.digest}

    # -- how fast they are ---------------------------------------------------------------------------------------------

    def speed(self, entry: EntryName) -> Speed:
        """What to expect of an entry."""
        velocity = self._velocities().get(entry)
        if velocity is None:
            velocity = self._plugs()[entry].driver.manifest.velocity
        return self._measured[entry].speed(said(velocity), trio.current_time())

    def expected(self, wanted: Wanted) -> Speed:
        """What to expect of whoever is asked first."""
        copies = self.of(wanted)
        return self.speed(copies[0].entry) if copies else said(0)

    @contextmanager
    def measuring(self, entry: EntryName, size: int) -> Iterator[None]:
        """Inside, an entry gives so many bytes (0: says something), or raises; trio.TooSlowError: it is silent."""
        line, began_s = self._lines[entry], trio.current_time()
        begun = line.begin(began_s)
        answered = silent = False
        try:
            yield
            answered = True
        except trio.TooSlowError:
            silent = True
            raise
        finally:
            now_s = trio.current_time()
            alone_s = line.end(begun, now_s)
            known = self._measured[entry]
            if answered:
                self._measured[entry] = known.and_(size, now_s - began_s, alone_s, now_s)
                if size:
                    self._gave(entry, now_s)
            elif silent:
                self._measured[entry] = known.and_silent(now_s - began_s, now_s)

    @contextmanager
    def patient(self, entry: EntryName, stall_s: float) -> Iterator[None]:
        """Raise trio.TooSlowError inside once the entry gives nobody anything for so long; after twice that at most.

        A slow line that is busy with others is not silent.
        """
        began_s = trio.current_time()
        scope = trio.CancelScope(deadline=began_s + stall_s)
        self._reading[entry][scope] = stall_s, began_s + 2 * stall_s
        try:
            with scope:
                yield
        finally:
            del self._reading[entry][scope]
        if scope.cancelled_caught:
            raise trio.TooSlowError

    def _gave(self, entry: EntryName, now_s: float) -> None:
        self._answered_s[entry] = now_s
        for scope, (stall_s, last_s) in self._reading[entry].items():
            scope.deadline = min(now_s + stall_s, last_s)

    # -- what is not as it was known -----------------------------------------------------------------------------------

    def changed(self, copy: Copy) -> None:
        """The object of a Copy is not what we knew."""
        if self._is_changed(copy):
            return
        while len(self._changed) >= _REMEMBERED:
            self._changed.pop(next(iter(self._changed)))
        log.warning("what an entry holds is not what was known", extra={"entry": copy.entry, "file": copy.file})
        self._changed[copy] = _Changed(trio.current_time() + CHANGED_S, self._suspect(copy))

    def _is_changed(self, copy: Copy) -> bool:
        """Whether it was not what we knew, lately: who looks there corrects the Copy, if it was not only on its way."""
        changed = self._changed.get(copy)
        return changed is not None and trio.current_time() < changed.until_s

    def _written(self, file: FileId) -> None:
        for event in self._waiting.get(file, ()):
            event.set()

    @contextmanager
    def _another_copy(self, wanted: Wanted) -> Iterator[trio.Event]:
        """Set once there is another Copy of it, or one less, than when this was entered."""
        event = trio.Event()
        for file in wanted.files:
            self._waiting.setdefault(file, []).append(event)
        try:
            yield event
        finally:
            for file in wanted.files:
                self._waiting[file].remove(event)
                if not self._waiting[file]:
                    del self._waiting[file]

    async def ask(self, wanted: Wanted, call: Call[T]) -> T:
        """What the first holder answers that answers; each gets a few chances. Whatever `call` raises else passes.

        Raises ServiceError if none is up, trio.TooSlowError if one did not answer in time (and at once, if it did not
        lately), Stale if none has the bytes any more. Before that, whoever looks at what is there instead gets the time
        to take it over.
        """
        doubted: dict[Copy, RemotePath | None] = {}
        pauses, patient = list(PAUSES_S), True
        while True:
            round_ = _Round()
            with self._another_copy(wanted) as another:
                for copy in self.of(wanted):
                    try:
                        return await self._try(round_, doubted, copy, call)
                    except (Gone, Conflict):
                        pass  # whether somebody looks there now, and how long, is counted below
                    except DriverError as error:
                        round_.error = error
                    except trio.TooSlowError:
                        round_.silent += 1
                until_s = self._looked_at_until_s(wanted) if patient else None
                looked_at = until_s is not None
                if until_s is None and pauses and (round_.up or round_.moved):
                    until_s = trio.current_time() + pauses.pop(0)
                if until_s is None:
                    break
                with trio.move_on_at(until_s) as waiting:
                    await another.wait()
                if looked_at and waiting.cancelled_caught:
                    patient, pauses = False, []
        if round_.silent:
            raise trio.TooSlowError
        if round_.error is None or not round_.asked:
            raise self._nobody(wanted)
        raise ServiceError(str(round_.error))

    def _looked_at_until_s(self, wanted: Wanted) -> float | None:
        """If somebody looks at what stands in the place of these bytes: how long that is waited for."""
        known = (copy for file in wanted.files for copy in self._placements.of(file).values())
        ours = (self._changed.get(copy) for copy in known if copy.generation == wanted.generation)
        ends = [changed.until_s for changed in ours if changed is not None and changed.looked_at]
        return max((end for end in ends if end > trio.current_time()), default=None)

    def gave_nothing(self, copy: Copy, waited_s: float) -> None:
        """An entry has been silent for so long, in a call that is not one of `ask`."""
        self._measured[copy.entry] = self._measured[copy.entry].and_silent(waited_s, trio.current_time())
        self._was_silent(copy)

    def _was_silent(self, copy: Copy) -> None:
        if len(self._silent_s) >= _REMEMBERED:
            self._silent_s.clear()
        self._silent_s[copy.file, copy.entry] = trio.current_time()
        log.warning("an entry does not answer", extra={"entry": copy.entry, "file": copy.file})

    def need_no_silence(self, copy: Copy) -> None:
        """Raise trio.TooSlowError if a read of this file was let time out lately, and nothing has come since."""
        key = copy.file, copy.entry
        silent_s = self._silent_s.get(key)
        if silent_s is None:
            return
        quiet = self._answered_s.get(copy.entry, 0.0) < silent_s
        if quiet and trio.current_time() < silent_s + SILENT_S:
            raise trio.TooSlowError
        del self._silent_s[key]

    def _nobody(self, wanted: Wanted) -> DriverError:
        known = (copy for file in wanted.files for copy in self._placements.of(file).values())
        away = [copy.entry for copy in known if copy.generation == wanted.generation and not self._is_changed(copy)]
        if away:
            return ServiceError(f"only on {', '.join(away)}, which cannot be read from")
        return Stale("no entry has these bytes any more")

    async def _try(self, round_: _Round, doubted: dict[Copy, RemotePath | None], copy: Copy, call: Call[T]) -> T:
        plug = self._plugs()[copy.entry]
        if plug.health.state == "starting":
            with trio.move_on_after(CONNECT_S):
                await plug.connected()
        self.need_no_silence(copy)
        path: RemotePath | None = None
        round_.asked += 1
        try:
            path = self._placements.path(copy.entry, copy.place)
            return await call(plug, path, copy)
        except (Gone, Conflict):
            # An order may be moving it just now. If its Copy says the same when it is asked again, it is really so.
            round_.moved += 1
            if copy not in doubted:
                self._suspect(copy)
            elif doubted[copy] == path:
                self.changed(copy)
            doubted[copy] = path
            raise
        except trio.TooSlowError:
            self._was_silent(copy)
            raise
        except DriverError:
            round_.up += plug.health.state == "up"
            raise
