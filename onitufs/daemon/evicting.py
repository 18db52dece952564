"""Decides which bytes may leave the local store: only those that the entries are seen to hold, at that moment.

A Copy says what an entry held once. Before anything is let go of each Copy that the rules want is looked at again, by
digest where the entry can tell one; and after that, that nothing has changed meanwhile.
"""

import heapq
import logging
from dataclasses import replace

import trio

from onitufs.catalog import keys
from onitufs.catalog.records import unpack_inode
from onitufs.model.copies import Copy
from onitufs.model.digests import algorithm_of, comparable, digest_of
from onitufs.model.errors import DriverError, NoEntry
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import FileId, GenerationId, InodeNumber
from onitufs.referee.reconcile import orders_for
from onitufs.volume.pins import Pins

from .aging import unlinked
from .placing import Placing

LOOK_EVERY_S = 1.0
REST_S = 5.0  # after all was looked at, and not enough could go
AT_ONE_TIME = 200  # files chosen from one walk over all
SLICE = 100
REFUSED_S = 600.0  # how long a file that had to stay is not tried again
MOST_REFUSED = 50_000
_BLOCK = 1 << 20

log = logging.getLogger(__name__)


class NotNow(Exception):
    """These bytes have to stay; str() says why."""


class Evicting:
    """Makes room when history alone cannot. `pins`: what stays in any case."""

    def __init__(self, placing: Placing, pins: Pins) -> None:
        self._placing = placing
        self._volume = placing.volume
        self._pins = pins
        self._refused_s: dict[InodeNumber, float] = {}

    async def run(self) -> None:
        """Keep some room free under a quota, until cancelled. What was used longest ago goes first."""
        while True:
            with trio.move_on_after(LOOK_EVERY_S):
                await self._volume.space.asked.wait()
            self._volume.space.asked = trio.Event()
            volume = self._volume
            ready = volume.space.quota is not None and volume.content.usage.known and not volume.history.versions
            if not ready or not volume.space.lacking():
                continue
            try:
                if not await self._make_room():
                    await trio.sleep(REST_S)
            except OSError:
                log.exception("no room can be made")
                await trio.sleep(REST_S)

    async def _make_room(self) -> int:
        """Let go of what is lacking. Returns the bytes that went."""
        await unlinked(self._volume)  # what came just now has to be on disk before it may go again
        lacking, gone = self._volume.space.lacking(), 0
        for number in await self._coldest():
            if gone >= lacking:
                break
            try:
                gone += await self.evict(number)
            except NotNow as reason:
                log.debug("stays", extra={"inode": number, "why": str(reason)})
                if len(self._refused_s) >= MOST_REFUSED:
                    self._refused_s.clear()
                self._refused_s[number] = trio.current_time()
        if gone:
            log.info("let go of bytes that the entries hold", extra={"bytes": gone})
            await unlinked(self._volume)
        return gone

    async def _coldest(self) -> list[InodeNumber]:
        """The files that were not used for the longest time, of those that may go as far as can be told from here."""
        volume = self._volume
        chosen: list[tuple[tuple[float, int], InodeNumber]] = []
        after = b""
        while rows := volume.catalog.scan(keys.INODE, after, SLICE):
            for key, value in rows:
                number = InodeNumber(keys.number(key))
                inode = unpack_inode(value)
                if not volume.why_not_evictable(inode) and self._may_go(inode):
                    chosen.append((volume.rank(inode), number))
            chosen = heapq.nsmallest(AT_ONE_TIME, chosen)
            after = rows[-1][0]
            await trio.lowlevel.checkpoint()
        return [number for _, number in chosen]

    def _may_go(self, inode: Inode) -> bool:
        """A quick look; evict() looks at everything."""
        refused_s = self._refused_s.get(inode.number)
        if refused_s is not None and trio.current_time() < refused_s + REFUSED_S:
            return False
        settled = all(self._volume.catalog.get(keys.unsettled(file)) is None for file in inode.files)
        return settled and self._has_copies(inode) and self._pins.holder(inode) is None

    def _has_copies(self, inode: Inode) -> bool:
        return all(
            any(copy.generation == inode.generation for copy in self._placing.placements.of(file).values())
            for file in inode.files
        )

    async def evict(self, number: InodeNumber) -> int:
        """Let go of the bytes of one file, if nothing is lost. Returns how many. Raises NotNow, OSError."""
        inode = self._needs_no_bytes(number)
        generation, copies = inode.generation, self._copies(inode)
        for copy in copies:
            await self._see(inode, copy)
        inode = self._needs_no_bytes(number)
        if inode.generation != generation or self._copies(inode) != copies:
            raise NotNow("it changes just now")
        name = self._volume.name(inode.files[0])
        media_type = self._placing.facts.media_type(name.name, inode) if name is not None else ""
        return self._volume.evict(number, generation, media_type)

    def _needs_no_bytes(self, number: InodeNumber) -> Inode:
        try:
            inode = self._volume.peek(number)
        except NoEntry:
            raise NotNow("it was deleted") from None
        reason = self._volume.why_not_evictable(inode)
        if not reason and self._pins.holder(inode) is not None:
            reason = "it is pinned"
        if reason:
            raise NotNow(reason)
        return inode

    def _copies(self, inode: Inode) -> list[Copy]:
        """The Copies that have to be seen before the bytes may go: for each name all that the rules want, or, where
        they want none, those that were found. Raises NotNow if one is missing or not current."""
        wanted: list[Copy] = []
        for file in inode.files:
            wanted += self._of_name(file, inode)
        if not any(self._can_be_read(copy) for copy in wanted):
            raise NotNow("no entry that has it can be read from" if wanted else "it is only here")
        return wanted

    def _of_name(self, file: FileId, inode: Inode) -> list[Copy]:
        placing = self._placing
        name = self._volume.name(file)
        if name is None or not name.alive:
            raise NotNow("it was deleted")
        if self._volume.catalog.get(keys.unsettled(file)) is not None:
            raise NotNow("it is not yet where the rules want it")
        decision = orders_for(placing.facts.living(file, name, inode, 0.0), trio.current_time())
        copies = placing.placements.of(file)
        entries = decision.required or tuple(entry for entry, copy in copies.items() if copy.found)
        found = [copies[entry] for entry in entries if entry in copies]
        current = [c for c in found if c.kind is Kind.FILE and c.generation == inode.generation]
        if not decision.settled or len(current) < len(decision.required):
            raise NotNow("it is not yet where the rules want it")
        if any(placing.memory.is_running((copy.entry, file)) for copy in current):
            raise NotNow("it is being placed")
        return current

    def _can_be_read(self, copy: Copy) -> bool:
        plug = self._placing.plugs.get(copy.entry)
        return plug is not None and plug.can("read")

    async def _see(self, inode: Inode, copy: Copy) -> None:
        """Look at what an entry holds. Raises NotNow if it is not this generation for sure."""
        placing = self._placing
        plug = placing.plugs.get(copy.entry)
        if plug is None or plug.health.state != "up":
            raise NotNow(f"{copy.entry} cannot be asked")
        try:
            found = await plug.digest(placing.placements.path(copy.entry, copy.place), copy.kind)
        except DriverError as error:
            raise NotNow(f"{copy.entry} cannot tell whether it has it: {error}") from error
        if placing.placements.get(copy.file, copy.entry) != copy:
            raise NotNow("it changes just now")
        if found is None:
            placing.fetcher.holders.changed(copy)
            raise NotNow(f"{copy.entry} does not have it any more")
        there = found.state.digest
        if comparable(there, copy.digest):
            same = there == copy.digest
        elif there:
            same = there == await self._local_digest(inode, algorithm_of(there))
        else:
            same = found.state.rev == copy.rev and found.size == inode.size
        if same:
            return
        if found.state.rev == copy.rev and placing.placements.get(copy.file, copy.entry) == copy:
            placing.differs(replace(copy, generation=GenerationId(0)))
        else:
            placing.fetcher.holders.changed(copy)
        raise NotNow(f"{copy.entry} holds other bytes")

    async def _local_digest(self, inode: Inode, algorithm: str) -> bytes:
        try:
            source = self._volume.content.snapshot(inode.content, inode.sealed_size)
        except OSError as error:
            raise NotNow(f"its bytes cannot be read here: {error}") from error

        try:
            return await trio.to_thread.run_sync(digest_of, source.read, algorithm)
        finally:
            source.close()
