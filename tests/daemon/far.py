"""A volume, entries whose services are in memory, and what fetches from them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import trio

from onitufs.daemon.fetching import Fetcher
from onitufs.daemon.holders import Holders
from onitufs.drivers import memory
from onitufs.drivers.calling import Inline
from onitufs.drivers.memory import service
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy, Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, ROOT_INODE, EntryName, FileId, GenerationId, InodeNumber
from onitufs.volume.placements import Placements
from onitufs.volume.tree import Changes
from tests.volume.conftest import Life

PIECE = 1 << 16  # what the memory driver gives at one time


class Line:
    """What lies between us and a service: all calls share its throughput, and each waits for its latency."""

    def __init__(self, latency_s: float, bytes_per_s: float) -> None:
        self._latency_s = latency_s
        self._bytes_per_s = bytes_per_s
        self._free_s = 0.0
        self._begun: set[trio.lowlevel.Task] = set()

    async def hook(self, what: str, path: tuple[bytes, ...]) -> None:
        task = trio.lowlevel.current_task()
        if what in ("get_chunk", "get_file", "stat"):
            self._begun.add(task)  # the driver looks once more often than it gives a piece
            await trio.sleep(self._latency_s)
        elif what == "read" and task in self._begun:
            self._begun.discard(task)
        elif what == "read":
            self._free_s = max(self._free_s, trio.current_time()) + PIECE / self._bytes_per_s
            await trio.sleep_until(self._free_s)


class FarAway:
    """Files are adopted from the services of the entries; nothing is placed."""

    def __init__(self, tmp_path: Path, entries: tuple[str, ...]) -> None:
        self.life = Life(tmp_path / "state")
        self.volume = self.life.volume
        self.placements = Placements(self.life.catalog)
        self.services = {EntryName(name): service.get(f"{tmp_path}/{name}") for name in entries}
        self.plugs = {name: self._plug(tmp_path, name) for name in self.services}
        self.suspected: list[Copy] = []
        self.looks = False  # whether somebody looks at what is suspected
        self.velocities: dict[EntryName, float] = {}
        self.holders = Holders(self.placements, lambda: self.plugs, self._suspect, lambda: self.velocities)
        self.fetcher = Fetcher(self.volume, self.holders)
        self.volume.far = self.fetcher

    def _suspect(self, copy: Copy) -> bool:
        self.suspected.append(copy)
        return self.looks

    def _plug(self, tmp_path: Path, name: EntryName) -> Plug:
        def nothing(*_: object) -> None:
            raise AssertionError("nothing is placed here")

        options = memory.DRIVER.read_options({"service": f"{tmp_path}/{name}"}, tmp_path, "entries.options")
        return Plug(
            name, memory.DRIVER, options, open_source=nothing, path_of=nothing, directory=nothing, report=nothing,
            identity=None, remember_identity=lambda _: None, work_dir=tmp_path / "work" / name, runner=Inline(),
            random=Random(7),
        )  # type: ignore[arg-type]  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FarAway"]:
        async with trio.open_nursery() as nursery:
            for plug in self.plugs.values():
                nursery.start_soon(plug.run)
                await plug.connected()
            await nursery.start(self.fetcher.run)
            yield self
            nursery.cancel_scope.cancel()

    def adopt(self, data: bytes, name: bytes = b"file", digest: bytes = b"", on: tuple[str, ...] = ()) -> InodeNumber:
        """A file that stands on all entries, or on those named, and not here."""
        revs = {entry: one.put((name,), data).rev for entry, one in self.services.items() if not on or entry in on}

        def also(file: FileId, generation: GenerationId) -> Changes:
            changes: Changes = {}
            copies = [
                Copy(
                    file=file, entry=entry, kind=Kind.FILE, place=Place(ROOT_FILE, name), generation=generation,
                    size=len(data), mtime_ns=0, mode=0o644, rev=rev, digest=digest, found=True,
                )
                for entry, rev in revs.items()
            ]  # fmt: skip
            self.placements.write(changes, put=copies)
            return changes

        file = self.volume.adopt(ROOT_INODE, name, Kind.FILE, size=len(data), mtime_ns=0, mode=0o644, also=also)
        known = self.volume.name(file)
        assert known is not None
        return known.inode

    def taken_over(self, entry: str, name: bytes = b"file") -> None:
        """Somebody looked: what stands there now has the bytes that were known, under another rev."""
        rev = self.services[EntryName(entry)].nodes[name,].rev
        found = self.volume.dirent(ROOT_INODE, name)
        assert found is not None
        copy = self.placements.of(found.file)[EntryName(entry)]
        changes: Changes = {}
        self.placements.write(changes, put=[replace(copy, rev=rev)])
        self.life.catalog.commit(changes)

    def calls(self, entry: str, what: str) -> int:
        """How often this handler of an entry was called."""
        return sum(called == what for called, _ in self.services[EntryName(entry)].calls)

    def readings(self, entry: str) -> int:
        """How often an entry was asked for a part of a file."""
        return self.calls(entry, "get_chunk")

    def blocks_given(self, entry: str) -> int:
        """How many blocks of 64 KiB were read on an entry in answer."""
        calls = [what for what, _ in self.services[EntryName(entry)].calls]
        return calls.count("read") - calls.count("get_chunk") - calls.count("get_file")  # each ends with an empty one
