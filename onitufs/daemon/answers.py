"""Answers what service.py asks of the daemon. Reads only; what changes anything is passed on to who owns it."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from onitufs import __version__
from onitufs.catalog import keys
from onitufs.content.media_type import media_type
from onitufs.drivers.plug import Plug
from onitufs.drivers.progress import Fetch, Transfer
from onitufs.model.copies import Copy
from onitufs.model.digests import shown
from onitufs.model.errors import NoSuchPath
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import ROOT_FILE, ROOT_INODE, EntryName, FileId, InodeNumber
from onitufs.model.verdicts import Subject, Verdict

from .choosing import Choosing
from .draining import Draining
from .entries import Entries
from .keeping import Keeping
from .past import Past
from .placing import Placing
from .scrubbing import scrub
from .service import Answer, Keep
from .setups import Setups
from .telling import moment as _time
from .telling import path_fields as _path

FAILURES_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What never changes while the daemon runs."""

    name: str
    setup: str
    mount: str
    state: str
    log: str
    since_ns: int


class Answers:
    """service.Service over the running parts. `stop` is the daemon's own."""

    def __init__(
        self,
        identity: Identity,
        placing: Placing,
        past: Past,
        keeping: Keeping,
        *,
        stop: Callable[[float | None, bool], Awaitable[Answer]],
        entries: Entries,
        choosing: Choosing,
        setups: Setups,
        draining: Draining,
    ) -> None:
        self._identity = identity
        self._placing = placing
        self._volume = placing.volume
        self.history = past.history
        self.restore = past.restore
        self.pin, self.unpin, self.free = keeping.pin, keeping.unpin, keeping.free
        self._keeping = keeping
        self._stop = stop
        self._entries = entries
        self._choosing = choosing
        self._setups = setups
        self._draining = draining

    # -- the whole ---------------------------------------------------------------------------------------------------

    def status(self) -> Answer:
        known = self._identity
        failures = self._failures()
        entries = self.entries()
        return {
            "name": known.name,
            "setup": known.setup,
            "mount": known.mount,
            "state": known.state,
            "pid": os.getpid(),
            "version": __version__,
            "since": _time(known.since_ns),
            "verdict": self._verdict(failures, entries),
            "files": self._counts(failures),
            "store": self._store(),
            "conflicts": self._choosing.count(),
            "entries": entries,
            "failures": failures[:FAILURES_SHOWN],
        }

    def _counts(self, failures: list[Answer]) -> Answer:
        volume = self._volume
        pending = self._pending()
        return {
            "all": volume.files,
            "directories": volume.directories,
            "placed": max(0, volume.files - volume.only_here - pending),
            "pending": pending,
            "failing": len(failures),
            "only_here": volume.only_here,
            "bytes_pending": sum(
                transfer.of - transfer.bytes
                for plug in self._plugs()
                for transfer in plug.transfers
                if transfer.direction == "to"
            ),
        }

    def _store(self) -> Answer:
        history = self._volume.history
        usage, quota = self._volume.content.usage, self._volume.space.quota
        return {
            "bytes": usage.bytes if usage.known else None,
            "quota": quota,
            "pins": len(self._keeping.pins.all()) if self._keeping.pins.any else 0,
            "history": {"versions": history.versions, "bytes": history.bytes},
        }

    def _pending(self) -> int:
        return self._volume.unsettled or (0 if self._placing.idle else 1)

    def _verdict(self, failures: list[Answer], entries: list[Answer]) -> str:
        if any(entry["health"] in ("auth-needed", "suspended") for entry in entries):
            return "needs-person"
        if self._placing.idle:
            return "safe"
        return "failing" if failures else "pending"

    def _plugs(self) -> list[Plug]:
        return list(self._placing.plugs.values())

    def _failures(self) -> list[Answer]:
        """Every file that something keeps from its place, by path and entry. A paused entry fails nothing."""
        found: dict[tuple[FileId, str], tuple[str, str, int]] = {}
        for file, problem in self._placing.problems.items():
            entry, _, reason = problem.reason.partition(": ")
            found[(file, entry)] = (reason, "", problem.since_ns)
        for name, plug in self._placing.plugs.items():
            if plug.health.state == "paused":
                continue
            for file, (reason, remedy) in plug.problems().items():
                found[(file, name)] = (reason, remedy, int(plug.health.since * 1e9))
        return [
            _path(self._volume.path(file) or b"?")
            | {"entry": entry, "reason": reason, "remedy": remedy, "since": _time(since_ns)}
            for (file, entry), (reason, remedy, since_ns) in found.items()
        ]

    def entries(self) -> list[Answer]:
        return [self._entry(name, plug) for name, plug in self._placing.plugs.items()]

    def _entry(self, name: EntryName, plug: Plug) -> Answer:
        health = plug.health
        message, remedy = health.hint if health.state == "up" else (health.message, health.remedy)
        return {
            "name": name,
            "driver": plug.driver.name,
            "mode": self._entries.mode(name),
            "health": health.state,
            "draining": self._draining.concerns(name),
            "since": _time(int(health.since * 1e9)),
            "message": message,
            "remedy": remedy,
            "queued": len(plug),
            "seen": self._seen(name),
            "space": {"free": plug.space.free, "total": plug.space.total},
            "running": [
                _path(self._transferred(transfer))
                | {
                    "direction": transfer.direction,
                    "what": transfer.what,
                    "bytes": transfer.bytes,
                    "of": transfer.of,
                    "bytes_per_s": int(transfer.bytes_per_s),
                }
                for transfer in plug.transfers
            ],
        }

    def _seen(self, name: EntryName) -> Answer | None:
        progress = self._entries.seen(name)
        if progress is None:
            return None
        return {
            "names": progress.names,
            "directories_left": progress.directories_left,
            "complete": progress.complete,
        }

    def _transferred(self, transfer: Transfer) -> bytes:
        """The path in the mount; where that is not known, the one on the entry."""
        order = transfer.order
        path = None if order.file is None else self._volume.path(order.file)
        return path or (b"/".join(order.path) if isinstance(order, Fetch) else b"?")

    # -- one file ------------------------------------------------------------------------------------------------------

    def whereis(self, path: bytes) -> Answer:
        file, inode = self._volume.resolve(path)
        copies = self._placing.placements.of(file)
        problems = [failure for failure in self._failures() if failure["path"] == _path(path)["path"]]
        verdict = self._placing.facts.verdict(path, inode)
        unsettled = self._is_pending(file, inode)
        if problems:
            state = "failing"
        elif unsettled:
            state = "pending"
        else:
            state = "placed" if verdict.targets or copies else "only-here"
        return _path(path) | {
            "kind": inode.kind.name.lower(),
            "size": inode.size,
            "modified": _time(inode.mtime_ns),
            "here": not inode.absent,
            "state": state,
            "wanted": list(verdict.targets),
            "copies": [self._copy(copy, inode) for copy in copies.values()],
            "problems": [{key: problem[key] for key in ("entry", "reason", "remedy")} for problem in problems],
        }

    def _is_pending(self, file: FileId, inode: Inode) -> bool:
        return self._volume.catalog.get(keys.unsettled(file)) is not None or self._volume.is_dirty(inode.number)

    def _copy(self, copy: Copy, inode: Inode) -> Answer:
        try:
            where = b"/".join(self._placing.placements.path(copy.entry, copy.place))
        except Exception:  # noqa: BLE001  a directory above is being moved: the name alone still helps
            where = copy.place.name
        current = copy.kind is not Kind.FILE or copy.generation == inode.generation
        return _path(where) | {
            "entry": copy.entry,
            "state": "current" if current else "old",
            "size": copy.size,
            "verified": _time(copy.verified_ns),
            "digest": shown(copy.digest),
        }

    def explain(self, path: bytes, media_type: str | None, size: int | None) -> Answer:
        subject, exists = self._subject(path, media_type, size)
        verdict: Verdict = self._placing.facts.rulebook.decide(subject)
        return _path(path) | {
            "exists": exists,
            "kind": subject.kind.name.lower(),
            "size": subject.size,
            "media_type": subject.media_type,
            "targets": list(verdict.targets),
            "copies": verdict.copies,
            "reasons": [
                {
                    "source": reason.source,
                    "text": reason.text,
                    "added": list(reason.added),
                    "removed": list(reason.removed),
                }
                for reason in verdict.reasons
            ],
        }

    def _subject(self, path: bytes, asked_type: str | None, size: int | None) -> tuple[Subject, bool]:
        try:
            inode = self._volume.resolve(path)[1]
        except NoSuchPath:
            kind = Kind.DIRECTORY if path.endswith(b"/") else Kind.FILE
            guessed = media_type(path.rpartition(b"/")[2]) if kind is Kind.FILE else None
            return Subject(path=path, kind=kind, size=size, media_type=asked_type or guessed, age_s=0.0), False
        is_file = inode.kind is Kind.FILE
        return (
            Subject(
                path=path.rstrip(b"/") or b"/",
                kind=inode.kind,
                size=(inode.size if size is None else size) if is_file else None,
                media_type=asked_type
                or (self._placing.facts.media_type(path.rpartition(b"/")[2], inode) if is_file else None),
                age_s=(self._volume.now_ns() - inode.mtime_ns) / 1e9 if is_file else None,
            ),
            True,
        )

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def wait(self, path: bytes | None, timeout_s: float | None) -> Answer:
        file = None if path is None else self._volume.resolve(path)[0]
        waits_for: FileId | None = None
        with trio.move_on_after(float("inf") if timeout_s is None else timeout_s):
            while (waits_for := self._waits_for(file, waits_for)) is not None:
                await self._placing.progress()
        return self._counts(self._failures()) | {"done": self._waits_for(file) is None}

    def _waits_for(self, file: FileId | None, known: FileId | None = None) -> FileId | None:
        """Something at or below `file` (None: anywhere) that is not placed yet. `known`: what it was a moment ago."""
        everywhere = file is None or file == ROOT_FILE
        if everywhere or self._placing.idle:
            done = self._placing.idle and (file is None or not self._is_written(file))
            return None if done else ROOT_FILE
        assert file is not None
        name = self._volume.name(file)
        if name is None or not name.alive:
            return None
        if self._is_written(file) or self._is_unsettled(file):
            return file
        if name.kind is not Kind.DIRECTORY:
            return None
        if known is not None and self._is_unsettled(known) and self._is_below(known, name.inode):
            return known
        return self._pending_below(file, name.inode)

    def _is_unsettled(self, file: FileId) -> bool:
        return self._volume.catalog.get(keys.unsettled(file)) is not None

    def _is_written(self, file: FileId) -> bool:
        """Whether a program has it open and has written what is not sealed yet."""
        name = self._volume.name(file)
        return name is not None and name.alive and self._volume.is_dirty(name.inode)

    def _is_below(self, file: FileId, directory: InodeNumber) -> bool:
        path = self._volume.path(file)
        return path is not None and path.startswith(self._volume.directory_path(directory) + b"/")

    def _pending_below(self, file: FileId, directory: InodeNumber) -> FileId | None:
        after = b""
        while rows := self._volume.catalog.scan(keys.UNSETTLED, after):
            for key, _ in reversed(rows):  # what changed last is placed last, mostly
                pending = FileId(keys.number(key))
                if self._is_below(pending, directory):
                    return pending
            after = rows[-1][0]
        inside = self._volume.directory_path(directory) + b"/"
        rows = self._volume.catalog.scan(keys.SUBTREE)
        for key, _ in rows:
            marked = InodeNumber(keys.number(key))
            above = self._volume.directory_path(marked) + b"/"
            if above.startswith(inside) or inside.startswith(above) or marked == ROOT_INODE:
                return file
        return None

    # -- changes -------------------------------------------------------------------------------------------------------

    def pause(self, entry: str) -> Answer:
        plug = self._plug(entry)
        self._entries.remember_pause(EntryName(entry), True)
        plug.pause()
        return self._entry(EntryName(entry), plug)

    def resume(self, entry: str, *, accept: bool = False, restore: bool = False) -> Answer:
        plug = self._plug(entry)
        self._entries.answer(EntryName(entry), accept=accept, restore=restore)
        self._entries.remember_pause(EntryName(entry), False)
        plug.resume()
        self._placing.ask_all()
        return self._entry(EntryName(entry), plug)

    def _plug(self, entry: str) -> Plug:
        plug = self._placing.plugs.get(EntryName(entry))
        if plug is None:
            known = ", ".join(self._placing.plugs) or "none"
            raise NoSuchPath(f"no entry {entry!r} in {self._identity.setup} (there are: {known})")
        return plug

    async def scrub(self, entry: str | None) -> AsyncIterator[Answer]:
        plugs = self._placing.plugs if entry is None else {EntryName(entry): self._plug(entry)}
        async for found in scrub(self._placing, plugs):
            yield (_path(found["path"]) | {k: v for k, v in found.items() if k != "path"}) if "path" in found else found

    def conflicts(self) -> Answer:
        return self._choosing.list()

    def resolve(self, path: bytes, keep: Keep) -> Answer:
        return self._choosing.resolve(path, keep)

    def events(self, recent: int, follow: bool) -> AsyncIterator[Answer]:
        return self._placing.events.follow(recent, go_on=follow)

    def plan(self, path: str | None, apply: bool, force: bool) -> AsyncIterator[Answer]:
        return self._setups.plan(None if path is None else Path(path), apply=apply, force=force)

    def drain(self, entry: str, local: bool) -> AsyncIterator[Answer]:
        self._plug(entry)
        return self._draining.drain(EntryName(entry), local=local)

    def stop_draining(self, entry: str) -> Answer:
        plug = self._plug(entry)
        self._draining.stop(EntryName(entry))
        return self._entry(EntryName(entry), plug)

    async def stop(self, timeout_s: float | None, now: bool) -> Answer:
        return await self._stop(timeout_s, now)

    def log_path(self) -> str:
        return self._identity.log
