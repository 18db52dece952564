"""The setup in force, and the way to another one: looked at first, refused where something would be lost, then done.

Three ways lead here: a mount, SIGHUP, `plan --apply`. None of them removes an entry that alone has what a file is now.
An entry that only got another name is told by its driver and options; that it is the same place, its driver verifies.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import trio
from blake3 import blake3

from onitufs.catalog import keys
from onitufs.catalog.records import pack_value, unpack_value
from onitufs.fuse.scanners import Scanners
from onitufs.model.errors import NotPossible, OnituError
from onitufs.model.ids import ROOT_INODE, EntryName
from onitufs.referee.planning import Plan, Tally
from onitufs.setup import EntrySetup, Setup, load
from onitufs.volume import Volume
from onitufs.volume.placements import Placements
from onitufs.volume.tree import Changes

from . import aging, releasing
from .entries import Entries, rulebook
from .planning import Outlook, last_copies, looked_ahead
from .renaming import rename_entry
from .service import Answer
from .telling import path_fields

KEPT = ".before"  # what a setup file is kept as when another one is put in its place

log = logging.getLogger(__name__)


class Setups:
    """`setup`: the one in force. One change at a time."""

    def __init__(self, setup: Setup, entries: Entries, volume: Volume, scanners: Scanners) -> None:
        self.setup = setup
        self._entries = entries
        self._volume = volume
        self._scanners = scanners
        self._catalog = volume.catalog
        self._placements = Placements(volume.catalog)
        self._changing = trio.Lock()
        self._more = trio.Event()
        self._reload_asked = trio.Event()

    # -- at the start --------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Before the entries are made: see what the setup says differently since the last start. Raises NotPossible."""
        renamed = self._renamed(self.setup)
        await self._need_no_last_copies(self.setup, renamed, force=False)
        for old, new in renamed.items():
            await rename_entry(self._catalog, self._placements, old, new)
        self._entries.drained = self._drained(self.setup)
        self._in_force()

    async def run(self) -> None:
        """Work off what `plan --apply` has begun, and read the setup again when that is asked for. Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_releasing)
            nursery.start_soon(self._keep_reloading)

    async def _keep_releasing(self) -> None:
        while True:
            self._more = trio.Event()
            await releasing.work_off(self._entries.joined, self._outlook_now)
            await self._more.wait()

    async def _keep_reloading(self) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked = trio.Event()
            await self._reload()

    def _outlook_now(self) -> Outlook:
        """What is in force."""
        facts = self._entries.joined.facts
        return Outlook(
            rulebook=facts.rulebook,
            abilities=facts.entries,
            known=frozenset(entry.name for entry in self.setup.entries),
            rules=tuple(rule.source for rule in self.setup.rules),
        )

    def _in_force(self) -> bool:
        """Note what the setup says; True if that is something else than before, so that all is asked again."""
        setup = self.setup
        aging.follow(setup, self._volume)
        self._scanners.follow(setup.scanners, setup.scanner_head)
        changes: Changes = {}
        for entry in setup.entries:
            changes[keys.meta(f"where:{entry.name}")] = pack_value(_where(entry))
            changes[keys.meta(f"abandoned:{entry.name}")] = None
        for name in self._entries.drained - {entry.name for entry in setup.entries}:
            changes[keys.meta(f"drain:{name}")] = None
        key, now = keys.meta("rules"), pack_value(setup.fingerprint())
        before = self._catalog.get(key)
        changes[key] = now
        changed = before is not None and before != now
        if changed:
            log.info("the setup has changed: every file is looked at again")
            changes[keys.subtree(ROOT_INODE)] = b""
        changes = {key: value for key, value in changes.items() if self._catalog.get(key) != value}
        if changes:
            self._catalog.commit(changes)
        return changed

    def _drained(self, setup: Setup) -> frozenset[EntryName]:
        return frozenset(
            entry.name for entry in setup.entries if self._catalog.get(keys.meta(f"drain:{entry.name}")) is not None
        )

    # -- what is not in the setup any more -----------------------------------------------------------------------------

    def _gone(self, setup: Setup) -> list[EntryName]:
        """Entries that there were, that have Copies, and that this setup does not name."""
        named = {entry.name for entry in setup.entries}
        prefix = keys.meta("entry:")
        known = [EntryName(key[len(prefix) :].decode()) for key, _ in self._catalog.scan(prefix, limit=10_000)]
        return [name for name in known if name not in named and self._placements.on(name, limit=1)]

    def _renamed(self, setup: Setup) -> Mapping[EntryName, EntryName]:
        """Entries that are what others were, under another name: old name -> new name."""
        fresh = {
            _where(entry): entry.name
            for entry in setup.entries
            if self._catalog.get(keys.meta(f"entry:{entry.name}")) is None
        }
        renamed: dict[EntryName, EntryName] = {}
        for old in self._gone(setup):
            where = self._catalog.get(keys.meta(f"where:{old}"))
            new = fresh.pop(unpack_value(where), None) if where is not None else None
            if new is not None:
                renamed[old] = new
        return renamed

    async def _need_no_last_copies(self, setup: Setup, renamed: Mapping[EntryName, EntryName], *, force: bool) -> None:
        named = frozenset(entry.name for entry in setup.entries)
        for name in self._gone(setup):
            abandoned = keys.meta(f"abandoned:{name}")
            if name in renamed or self._catalog.get(abandoned) is not None:
                continue
            if force:
                self._catalog.commit({abandoned: b""})
                continue
            last = await last_copies(self._volume, self._placements, name, named)
            if last.files:
                example = last.examples[0].decode(errors="backslashreplace")
                count = "a file" if last.files == 1 else f"{last.files} files"
                raise NotPossible(
                    f"{setup.path.name}: entry {name} is not in it any more, and no other entry has what it holds of "
                    f"{count} (such as {example}): put it back, then `onitufs entry drain {name}`, or take it out by "
                    f"`onitufs plan --apply NEW.json --force`"
                )

    # -- another setup -------------------------------------------------------------------------------------------------

    def outlook(self, setup: Setup, drained: frozenset[EntryName] | None = None) -> Outlook:
        """What another setup, or draining other entries, would mean. Raises SetupError for options a driver refuses."""
        renamed = self._renamed(setup)
        return Outlook(
            rulebook=rulebook(setup, self._entries.drained if drained is None else drained),
            abilities=self._entries.abilities(setup),
            known=frozenset(entry.name for entry in setup.entries),
            rules=tuple(rule.source for rule in setup.rules),
            renamed=renamed,
        )

    def reload_soon(self) -> None:
        """SIGHUP: read the setup again. One that is wrong, or would lose something, changes nothing."""
        self._reload_asked.set()

    async def _reload(self) -> None:
        try:
            setup = await trio.to_thread.run_sync(load, self.setup.path)
            await self.change(setup, force=False)
        except OnituError as error:
            log.error("the setup was not read again", extra={"why": str(error)})  # noqa: TRY400  one line is enough
            return
        log.info("the setup was read again")

    async def change(self, setup: Setup, *, force: bool) -> None:
        """Put another setup in force. Raises SetupError, NotPossible: then nothing has changed."""
        async with self._changing:
            self._need_same_name(setup)
            self._entries.abilities(setup)
            renamed = self._renamed(setup)
            await self._need_no_last_copies(setup, renamed, force=force)
            placing = self._entries.joined
            placing.held = True
            try:
                for old, new in renamed.items():
                    self._entries.end(old)
                    await rename_entry(self._catalog, self._placements, old, new)
                self._entries.drained = self._drained(setup)
                self._entries.change(setup)
            finally:
                placing.held = False
            self.setup = setup
            if self._in_force() or renamed:
                placing.ask_tree()

    def _need_same_name(self, setup: Setup) -> None:
        """The state is kept under it: with another one, the next mount would begin with nothing."""
        if setup.name != self.setup.name:
            raise NotPossible(
                f"name: {setup.name!r} is another name than that of the mounted setup, {self.setup.name!r}: "
                "what is mounted keeps its name; mount the other setup elsewhere, or give it this name"
            )

    async def plan(self, path: Path | None, *, apply: bool, force: bool) -> AsyncIterator[Answer]:
        """As service.Service.plan says."""
        path = path or self.setup.path
        setup = replace(await trio.to_thread.run_sync(load, path), path=self.setup.path)
        self._need_same_name(setup)
        outlook = self.outlook(setup)
        async for found in looked_ahead(self._entries.joined, outlook):
            if isinstance(found, Plan):
                answer = _answer(found, outlook, self.setup) | {"setup": str(path)}
            else:
                yield {"looked_at": found, "of": self._volume.files + self._volume.directories}
        if apply:
            if not force and (problem := _loss(answer)):
                raise NotPossible(problem)
            if path != setup.path and not await trio.to_thread.run_sync(_same, path, setup.path):
                await trio.to_thread.run_sync(put_in_place, path, setup.path)
            await self.change(setup, force=force)
            changes: Changes = {}
            releasing.begin(changes)
            self._catalog.commit(changes)
            self._more.set()
            log.info("a plan is being applied", extra={"setup": str(path)})
        yield answer | {"done": True, "applied": apply}


def _where(entry: EntrySetup) -> bytes:
    """Of what an entry is, whatever its name: a digest, as options may hold what is not for others."""
    return blake3(repr((entry.driver, sorted(entry.options.items()))).encode()).digest()


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def put_in_place(new: Path, path: Path) -> None:
    """Replace a setup file by a copy of another in one step; what it was is kept beside it. Raises NotPossible."""
    path = path.resolve()
    draft = path.with_name(f".{path.name}.new")
    try:
        content = new.read_bytes()
        shutil.copy2(path, path.with_name(path.name + KEPT))
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise NotPossible(
            f"{path}: cannot be replaced ({error.strerror}): copy {new} there yourself, then `onitufs plan --apply`"
        ) from error


def _loss(answer: Answer) -> str:
    """Why a plan is not applied without being forced; "" where nothing is lost."""
    for entry in answer["entries"]:
        if entry["last"]["files"]:
            example = entry["last"]["examples"][0]["path"]
            return (
                f"entry {entry['name']} would be out of the setup, and no other entry has what it holds of "
                f"{entry['last']['files']} of the files (such as {example}): `onitufs entry drain {entry['name']}` "
                "first, or --force"
            )
    return ""


def _answer(plan: Plan, outlook: Outlook, before: Setup) -> Answer:
    known_before = {entry.name for entry in before.entries}
    entries = []
    for name, of in plan.entries.items():
        kinds = ("copied", "moved", "trashed", "found", "left", "last", "cannot")
        told = {kind: _tally(getattr(of, kind)) for kind in kinds}
        state = "kept" if name in outlook.known & known_before else "new" if name in outlook.known else "gone"
        renamed = [old for old, new in outlook.renamed.items() if new == name]
        entries.append({"name": name, "state": state, "renamed_from": renamed[0] if renamed else None} | told)
    return {
        "files": plan.files,
        "entries": entries,
        "only_here": _tally(plan.only_here),
        "missing": _tally(plan.missing),
        "rules": [{"source": source, "covers": count} for source, count in plan.rules.items()],
    }


def _tally(tally: Tally) -> Answer:
    return {
        "files": tally.files,
        "bytes": tally.size,
        "examples": [path_fields(path) for path in tally.examples],
    }
