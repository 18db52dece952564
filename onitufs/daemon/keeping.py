"""Answers to pin, unpin and free; and brings what is pinned and not here."""

import logging
from collections.abc import AsyncIterator, Iterator

import trio

from onitufs.model.errors import NoEntry, OnituError
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import FileId, InodeNumber
from onitufs.volume.pins import Pins

from .aging import unlinked
from .evicting import Evicting, NotNow
from .placing import Placing
from .service import Answer
from .telling import path_fields

LOOK_EVERY_S = 2.0
AGAIN_S = 30.0  # after something could not be brought
SLICE = 200

log = logging.getLogger(__name__)


class Keeping:
    """pin(), unpin() and free() of service.Service."""

    def __init__(self, placing: Placing) -> None:
        self._placing = placing
        self._volume = placing.volume
        self.pins = Pins(placing.volume.catalog, placing.volume)
        self.evicting = Evicting(placing, self.pins)
        self._wake = trio.Event()

    async def run(self) -> None:
        """Bring what is pinned, and make room, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.evicting.run)
            nursery.start_soon(self._bring_pinned)

    async def _bring_pinned(self) -> None:
        seen, again_s = -1, 0.0
        while True:
            with trio.move_on_after(LOOK_EVERY_S):
                await self._wake.wait()
            self._wake = trio.Event()
            now_s = trio.current_time()
            if not self.pins.any or (self._volume.absences == seen and now_s < again_s):
                continue
            seen, again_s = self._volume.absences, float("inf")
            for file in self.pins.all():
                if not await self._bring_below(file):
                    again_s = trio.current_time() + AGAIN_S

    async def _bring_below(self, file: FileId) -> bool:
        """Whether all of it is here."""
        fine = True
        for _, inode in self._files(self._volume.path(file) or b"/", file):
            if inode.absent:
                try:
                    await self._placing.fetcher.fetch_all(inode.number)
                except (OnituError, OSError, trio.TooSlowError) as error:
                    log.warning("what is pinned cannot be brought yet", extra={"why": str(error)})
                    fine = False
            else:
                await trio.lowlevel.checkpoint()
        return fine

    def _files(self, path: bytes, file: FileId) -> Iterator[tuple[bytes, Inode]]:
        """Every regular file at and below a path. The tree may change between two of them."""
        name = self._volume.name(file)
        if name is None or not name.alive:
            return
        if name.kind is Kind.FILE:
            yield path, self._volume.peek(name.inode)
        if name.kind is not Kind.DIRECTORY:
            return
        waiting: list[tuple[bytes, InodeNumber]] = [(path.rstrip(b"/"), name.inode)]
        while waiting:
            above, directory = waiting.pop()
            after = b""
            while names := self._volume.list_directory(directory, after, SLICE):
                after = names[-1][0]
                for last, found in names:
                    if found.kind is Kind.DIRECTORY:
                        waiting.append((above + b"/" + last, found.inode))
                    elif found.kind is Kind.FILE:
                        try:
                            yield above + b"/" + last, self._volume.peek(found.inode)
                        except NoEntry:
                            continue

    # -- answers -------------------------------------------------------------------------------------------------------

    def pin(self, path: bytes) -> Answer:
        file, _ = self._volume.resolve(path)
        self.pins.pin(file)
        self._wake.set()
        to_fetch = [inode.size for _, inode in self._files(path, file) if inode.absent]
        return path_fields(path) | {"pinned": True, "to_fetch": len(to_fetch), "bytes_to_fetch": sum(to_fetch)}

    def unpin(self, path: bytes) -> Answer:
        file, inode = self._volume.resolve(path)
        was = self.pins.unpin(file)
        above = self.pins.holder(inode)
        held = None if above is None else path_fields(self._volume.path(above) or b"?")["path"]
        return path_fields(path) | {"pinned": above is not None, "was_pinned": was, "pinned_by": held}

    async def free(self, path: bytes) -> AsyncIterator[Answer]:
        file, _ = self._volume.resolve(path)
        freed = files = kept = 0
        for at, inode in self._files(path, file):
            if inode.absent or not inode.size:
                await trio.lowlevel.checkpoint()
                continue
            try:
                went = await self.evicting.evict(inode.number)
            except NotNow as reason:
                kept += 1
                yield path_fields(at) | {"freed": 0, "reason": str(reason)}
            else:
                freed, files = freed + went, files + 1
                yield path_fields(at) | {"freed": went, "reason": ""}
        if freed:
            await unlinked(self._volume)
        yield {"done": True, "files": files, "freed": freed, "kept": kept}
