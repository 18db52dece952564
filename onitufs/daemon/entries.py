"""The entries of the setup: each a Plug in a nursery of its own, started, changed and stopped as the setup says."""

import functools
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from onitufs.catalog import keys
from onitufs.catalog.records import pack_value, unpack_value
from onitufs.drivers.accounts import Accounts
from onitufs.drivers.health import Health
from onitufs.drivers.plug import Plug
from onitufs.drivers.registry import ManifestedDriver, Registry
from onitufs.model.copies import Copy
from onitufs.model.errors import NotPossible, SetupError
from onitufs.model.ids import EntryName, FileId, InodeNumber
from onitufs.model.orders import Put
from onitufs.model.rules import Match, Rule
from onitufs.model.source import Source
from onitufs.model.state import Abilities
from onitufs.referee.rules import Rulebook
from onitufs.setup import EntrySetup, Setup
from onitufs.volume import Volume
from onitufs.volume.placements import Placements

from .facts import Facts
from .intake import Feed, Intake, Outside, Overtaken, Progress, TellKernel, Wave
from .memory import Memory
from .placing import Placing

log = logging.getLogger(__name__)


class _Running:
    """One started entry, and how to stop it."""

    def __init__(self, wanted: EntrySetup, plug: Plug, intake: Intake | None) -> None:
        self.wanted = wanted
        self.plug = plug
        self.intake = intake
        self.scope = trio.CancelScope()


class Entries:
    """Keeps one Plug running for each entry that the setup names. `work`: private directories of the entries.

    `drained`: those that are being emptied. `joined`: what placing() made.
    """

    joined: Placing

    def __init__(self, volume: Volume, work: Path) -> None:
        self._volume = volume
        self._catalog = volume.catalog
        self._work = work
        self.drained: frozenset[EntryName] = frozenset()
        self._registry = Registry()
        self._accounts = Accounts()
        self._running: dict[EntryName, _Running] = {}
        self.tell_kernel: TellKernel = lambda parent, name: None
        self.room_to_tell: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        self._nursery: trio.Nursery | None = None

    def placing(self, setup: Setup) -> Placing:
        """What joins the volume with the entries of this setup. Raises SetupError for options that a driver refuses."""
        facts = Facts(self._volume, Placements(self._catalog), rulebook(setup, self.drained), {}, Memory())
        self.joined = self._placing = Placing(facts, {})
        self._placing.suspect = self._suspect
        self._volume.overtaken = Overtaken(self._volume, self._tell_kernel)
        self.change(setup)
        return self._placing

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the Plugs until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for entry in self._running.values():
                self._nursery.start_soon(self._live, entry)
            task_status.started()
            await trio.sleep_forever()

    async def _live(self, entry: _Running) -> None:
        with entry.scope:
            async with trio.open_nursery() as nursery:
                if entry.intake is not None:
                    nursery.start_soon(entry.intake.run)
                await entry.plug.run()

    def change(self, setup: Setup) -> None:
        """Take over another setup: its rules, and its entries; an unchanged one goes on undisturbed.

        Raises SetupError, and then nothing has changed.
        """
        ready = {wanted.name: self._read(wanted, setup) for wanted in setup.entries}
        rules = rulebook(setup, self.drained)
        plugs: dict[EntryName, Plug] = {}
        for wanted in setup.entries:
            known = self._running.get(wanted.name)
            if known is not None and known.wanted == replace(wanted, bandwidth=known.wanted.bandwidth):
                known.wanted = wanted  # other limits end no session
                known.plug.bandwidth.change(wanted.bandwidth)
            elif known is None or known.wanted != wanted:
                if known is not None:
                    self._stop(known)
                known = self._start(wanted, *ready[wanted.name])
            plugs[wanted.name] = known.plug
        for name in self._running.keys() - plugs.keys():
            self.end(name)
        facts = self._placing.facts
        facts.rulebook = rules
        facts.entries = {wanted.name: _abilities(ready[wanted.name][0]) for wanted in setup.entries if wanted.writable}
        self._placing.plugs = plugs
        said = {wanted.name: wanted.velocity for wanted in setup.entries}
        self._placing.velocities = {name: velocity for name, velocity in said.items() if velocity is not None}

    def use_rules(self, setup: Setup) -> None:
        """The rules of the setup in force, after `drained` has changed."""
        self._placing.facts.rulebook = rulebook(setup, self.drained)

    def abilities(self, setup: Setup) -> dict[EntryName, Abilities]:
        """What the entries that a setup names for writing can keep. Raises SetupError, as change() would."""
        ready = {wanted.name: self._read(wanted, setup)[0] for wanted in setup.entries}
        return {wanted.name: _abilities(ready[wanted.name]) for wanted in setup.entries if wanted.writable}

    def end(self, name: EntryName) -> None:
        """Stop an entry that is no more."""
        self._stop(self._running.pop(name))
        self._placing.plugs = {other: plug for other, plug in self._placing.plugs.items() if other != name}

    def _read(self, wanted: EntrySetup, setup: Setup) -> tuple[ManifestedDriver, Any]:
        at = f"{setup.path.name}: entries.{wanted.name}"
        try:
            driver = self._registry.get(wanted.driver)
        except SetupError as error:
            raise SetupError([f"{at}.driver: {problem}" for problem in error.problems]) from error
        return driver, driver.read_options(wanted.options, setup.base, f"{at}.options")

    def _start(self, wanted: EntrySetup, driver: ManifestedDriver, options: Any) -> _Running:
        name = wanted.name
        placing, placements = self._placing, self._placing.placements
        plug = Plug(
            name,
            driver,
            options,
            open_source=self._source,
            path_of=functools.partial(placements.path, name),
            directory=functools.partial(placing.copies.give, name),
            directory_mode=self._directory_mode,
            fits=placing.may_start,
            interest=placing.facts.interest,
            pace=placing.rest_s,
            unfinished=placing.intents.unfinished(name),
            report=placing.report,
            identity=self._known("entry", name),
            remember_identity=functools.partial(self._remember, "entry", name),
            work_dir=self._work / name.replace("/", "%2F"),
            accounts=self._accounts,
            bandwidth=wanted.bandwidth,
        )
        plug.on_room = placing.has_room
        plug.health.on_change = functools.partial(self._health_changed, name, plug.health)
        if self._known("paused", name):
            plug.pause()
        running = self._running[name] = _Running(wanted, plug, self._intake(wanted, plug))
        if self._nursery is not None:
            self._nursery.start_soon(self._live, running)
        return running

    def _health_changed(self, name: EntryName, health: Health) -> None:
        self._placing.events.entry(name, health)
        if health.state == "up":
            self._placing.bringing.try_again()

    def _intake(self, wanted: EntrySetup, plug: Plug) -> Intake | None:
        """What takes over the changes of others; none where nothing is to come back."""
        if wanted.mode == "w" or not plug.can("list"):
            return None
        name = wanted.name
        outside = Outside(name, plug, self._placing, self._tell_kernel)
        intake = Intake(
            outside,
            ask_user=functools.partial(self._ask_user, name),
            pace=self._placing.rest_s,
            room_to_tell=self._room_to_tell,
            feed=Feed(
                known=functools.partial(self._known, "cursor", name),
                remember=functools.partial(self._remember, "cursor", name),
                identity=functools.partial(self._known, "entry", name),
                now_s=lambda: self._volume.now_ns() / 1e9,
            ),
        )
        asked = self._known("question", name)
        if asked is not None:
            intake.halt()
            self._halt(name, plug, Wave(*asked))
        return intake

    def _suspect(self, copy: Copy) -> bool:
        running = self._running.get(copy.entry)
        return running is not None and running.intake is not None and running.intake.suspect(copy)

    def _tell_kernel(self, parent: InodeNumber, name: bytes) -> None:
        self.tell_kernel(parent, name)  # which is another one once there is a mount

    async def _room_to_tell(self) -> None:
        await self.room_to_tell()

    # -- deletions that the user is asked about ------------------------------------------------------------------------

    def _ask_user(self, name: EntryName, wave: Wave) -> None:
        self._remember("question", name, (wave.gone, wave.of))
        self._halt(name, self._running[name].plug, wave)

    def _halt(self, name: EntryName, plug: Plug, wave: Wave) -> None:
        log.warning("much is gone from an entry", extra={"entry": name, "gone": wave.gone, "of": wave.of})
        plug.suspend(
            f"{wave.gone} of {wave.of} files and directories are gone from it; nothing was deleted elsewhere",
            f"onitufs entry resume {name} --accept-deletions, to delete them here, or --restore, to place them again",
        )

    def answer(self, name: EntryName, *, accept: bool, restore: bool) -> None:
        """The user's answer to the question of an entry, if there is one; neither: to end a suspension or a pause.

        That it is not the place any more that it was is such a question, too; then the answer makes it the place.

        Raises NotPossible if there is a question and this is no answer, or none and this is one.
        """
        asked = self._known("question", name)
        if asked is not None and not (accept or restore):
            raise NotPossible(
                f"entry {name}: {asked[0]} of {asked[1]} files and directories are gone from it; "
                "say --accept-deletions, to delete them here, or --restore, to place them again"
            )
        plug = self._running[name].plug
        answers = accept or restore
        if asked is None and answers and not plug.is_another_place:
            raise NotPossible(f"entry {name}: nothing is asked about it; `onitufs entry resume {name}` is enough")
        intake = self._running[name].intake
        if asked is None and answers:
            self._catalog.commit({keys.meta(f"entry:{name}"): None, keys.meta(f"cursor:{name}"): None})
            plug.accept_place()
            log.warning("another place is the entry from now on", extra={"entry": name})
            if intake is not None:
                intake.settle(accept=accept, restore=restore)
        elif asked is not None:
            self._catalog.commit({keys.meta(f"question:{name}"): None})
            if intake is not None:
                intake.settle(accept=accept, restore=restore)

    def seen(self, name: EntryName) -> Progress | None:
        """How far what is on the entry has been seen; None where it is not looked at."""
        intake = self._running[name].intake
        return None if intake is None else intake.progress

    def _stop(self, entry: _Running) -> None:
        entry.scope.cancel()
        self._placing.dropped(entry.wanted.name)

    # -- what Plugs ask for ------------------------------------------------------------------------------------------

    def _source(self, order: Put) -> Source:
        return self._volume.source(order.file, order.generation)

    def _directory_mode(self, directory: FileId) -> int:
        name = self._volume.name(directory)
        return self._volume.peek(name.inode).mode & 0o777 if name is not None and name.alive else 0o755

    # -- what is remembered of them ----------------------------------------------------------------------------------

    def _known(self, what: str, name: EntryName) -> Any:
        value = self._catalog.get(keys.meta(f"{what}:{name}"))
        return None if value is None else unpack_value(value)

    def _remember(self, what: str, name: EntryName, value: object) -> None:
        self._catalog.commit({keys.meta(f"{what}:{name}"): pack_value(value)})

    def mode(self, name: EntryName) -> str:
        """ "rw", "r" or "w", as the setup says."""
        return self._running[name].wanted.mode

    def remember_pause(self, name: EntryName, paused: bool) -> None:
        self._remember("paused", name, paused)


def rulebook(setup: Setup, drained: Collection[EntryName] = ()) -> Rulebook:
    """The rules of a setup and, for each entry that is `drained`, one more that bans it."""
    emptied = [
        Rule(match=Match(), ban=(entry.name,), source=f"entry drain {entry.name}")
        for entry in setup.entries
        if entry.name in drained
    ]
    writable = [entry.name for entry in setup.entries if entry.writable]
    read_only = [entry.name for entry in setup.entries if not entry.writable]
    return Rulebook((*setup.rules, *emptied), writable, setup.never, read_only=read_only)


def _abilities(driver: ManifestedDriver) -> Abilities:
    can = driver.manifest.abilities
    return Abilities(mode="keeps_mode" in can, mtime="keeps_mtime" in can, symlinks="symlinks" in can)
