"""Which entries to ask for bytes that are not here, in which order, and what is known of those that did not answer."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import trio

from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy
from onitufs.model.errors import Conflict, DriverError, Gone, ServiceError, Stale
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName, FileId, GenerationId
from onitufs.volume.placements import Placements

T = TypeVar("T")

CONNECT_S = 5.0  # what an entry gets that was only just started
CHANGED_S = 10.0  # how long an entry is not asked again for what was not what we knew
SILENT_S = 60.0  # for so long a file is not waited for again on an entry that let a read of it time out
PAUSES_S = (0.3, 1.0)  # before everybody is asked once more
_REMEMBERED = 10_000

log = logging.getLogger(__name__)

Call = Callable[[Plug, RemotePath, Copy], Awaitable[T]]
"""Asks one holder. Raises DriverError, and trio.TooSlowError if it did not answer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One generation of a file. `files`: its names, of which any may have a Copy."""

    files: tuple[FileId, ...]
    generation: GenerationId


@dataclass(slots=True)
class _Round:
    """What came of asking everybody."""

    asked: int = 0
    up: int = 0  # of those that failed
    silent: int = 0
    moved: int = 0
    error: DriverError | None = None


class Holders:
    """The entries whose Copies are of the wanted generation. `suspect` is told of a Copy whose object is not what we
    knew: somebody should look at that place. It is not asked again for a while."""

    def __init__(
        self,
        placements: Placements,
        plugs: Callable[[], Mapping[EntryName, Plug]],
        suspect: Callable[[Copy], None] = lambda copy: None,
    ) -> None:
        self.suspect = suspect
        self._placements = placements
        self._plugs = plugs
        self._speed: dict[EntryName, float] = {}  # bytes a second
        self._answered_s: dict[EntryName, float] = {}
        self._silent_s: dict[tuple[FileId, EntryName], float] = {}
        self._changed_s: dict[Copy, float] = {}

    def of(self, wanted: Wanted) -> list[Copy]:
        """The Copies to ask, best first: entries that are up, then by their driver's velocity, then as measured."""
        plugs, found = self._plugs(), []
        for file in wanted.files:
            for entry, copy in self._placements.of(file).items():
                good = copy.kind is Kind.FILE and copy.generation == wanted.generation and not self._is_changed(copy)
                if good and entry in plugs and plugs[entry].can("read"):
                    found.append(copy)

        def rank(copy: Copy) -> tuple[bool, float, float]:
            plug = plugs[copy.entry]
            return plug.health.state != "up", -plug.driver.manifest.velocity, -self._speed.get(copy.entry, 0.0)

        return sorted(found, key=rank)

    def measured(self, entry: EntryName, size: int, took_s: float) -> None:
        """An entry has given so many bytes in that time."""
        speed = size / max(took_s, 1e-3)
        known = self._speed.get(entry)
        self._speed[entry] = speed if known is None else known + (speed - known) / 8
        self._answered_s[entry] = trio.current_time()

    def changed(self, copy: Copy) -> None:
        """The object of a Copy is not what we knew."""
        if self._is_changed(copy):
            return
        if len(self._changed_s) >= _REMEMBERED:
            self._changed_s.pop(next(iter(self._changed_s)))
        self._changed_s[copy] = trio.current_time()
        log.warning("what an entry holds is not what was known", extra={"entry": copy.entry, "file": copy.file})
        self.suspect(copy)

    def _is_changed(self, copy: Copy) -> bool:
        """Whether it was not what we knew, lately: who looks there corrects the Copy, if it was not only on its way."""
        return trio.current_time() - self._changed_s.get(copy, -CHANGED_S) < CHANGED_S

    async def ask(self, wanted: Wanted, call: Call[T]) -> T:
        """What the first holder answers that answers; each gets a few chances. Whatever `call` raises else passes.

        Raises ServiceError if none is up, trio.TooSlowError if one did not answer in time (and at once, if it did not
        lately), Stale if none has the bytes any more.
        """
        doubted: dict[Copy, RemotePath | None] = {}
        for pause_s in (*PAUSES_S, None):
            round_ = _Round()
            for copy in self.of(wanted):
                try:
                    return await self._try(round_, doubted, copy, call)
                except DriverError as error:
                    round_.error = error
                except trio.TooSlowError:
                    round_.silent += 1
            if pause_s is None or not (round_.up or round_.moved):
                break
            await trio.sleep(pause_s)
        if round_.silent:
            raise trio.TooSlowError
        if round_.error is None or not round_.asked:
            raise self._nobody(wanted)
        raise ServiceError(str(round_.error))

    def _nobody(self, wanted: Wanted) -> DriverError:
        known = (copy for file in wanted.files for copy in self._placements.of(file).values())
        away = [copy.entry for copy in known if copy.generation == wanted.generation and not self._is_changed(copy)]
        if away:
            return ServiceError(f"only on {', '.join(away)}, which cannot be read from")
        return Stale("no entry has these bytes any more")

    async def _try(self, round_: _Round, doubted: dict[Copy, RemotePath | None], copy: Copy, call: Call[T]) -> T:
        plug, key = self._plugs()[copy.entry], (copy.file, copy.entry)
        if plug.health.state == "starting":
            with trio.move_on_after(CONNECT_S):
                await plug.connected()
        silent_s = self._silent_s.get(key)
        if silent_s is not None:
            quiet = self._answered_s.get(copy.entry, 0.0) < silent_s
            if quiet and trio.current_time() < silent_s + SILENT_S:
                raise trio.TooSlowError
            del self._silent_s[key]
        path: RemotePath | None = None
        round_.asked += 1
        try:
            path = self._placements.path(copy.entry, copy.place)
            answer = await call(plug, path, copy)
        except (Gone, Conflict):
            # An order may be moving it just now. If its Copy says the same when it is asked again, it is really so.
            round_.moved += 1
            if copy in doubted and doubted[copy] == path:
                self.changed(copy)
            doubted[copy] = path
            raise
        except trio.TooSlowError:
            if len(self._silent_s) >= _REMEMBERED:
                self._silent_s.clear()
            self._silent_s[key] = trio.current_time()
            log.warning("an entry does not answer", extra={"entry": copy.entry, "file": copy.file})
            raise
        except DriverError:
            round_.up += plug.health.state == "up"
            raise
        self._answered_s[copy.entry] = trio.current_time()
        return answer
