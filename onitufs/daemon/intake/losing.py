"""What is gone from an entry, taken out of the mount: not before it is certain, and not if it is suspiciously much.

A Copy that was not where it was known to be is a suspect. After a rest each suspect is looked at once more, so that a
rename, whose two halves are seen one after the other, is none. What is still gone is deleted in the mount, unless it is
an unusually large part of the entry within a short time: then nothing is touched, and the user is asked.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import trio

from onitufs.drivers.handlers import RemotePath
from onitufs.model.copies import Copy
from onitufs.model.errors import DriverError, FileError
from onitufs.model.files import Kind
from onitufs.model.ids import FileId
from onitufs.referee.sightings import Loss, Standing, lose
from onitufs.volume.tree import Changes

from .outside import Outside

REST_S = 1.0  # without another suspect
LONGEST_REST_S = 5.0
MANY = 10  # so many at once are never suspicious
LARGE_PART = 0.3  # of what the entry is known to hold
WAVE_S = 60.0  # deletions within so long are one wave
SLICE = 50
TOGETHER = 100  # suspects that are looked at in one call

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wave:
    """Unusually much is gone: `gone` of the `of` objects that the entry was known to hold."""

    gone: int
    of: int


class Losing:
    """The suspects of one entry. `look_again` as in Arriving."""

    def __init__(self, outside: Outside, *, look_again: Callable[[RemotePath], None]) -> None:
        self._outside = outside
        self._entry = outside.entry
        self._placements = outside.placements
        self._look_again = look_again
        self._suspects: dict[FileId, None] = {}
        self._first_s = self._last_s = 0.0  # when they came
        self._recent: list[tuple[float, int]] = []  # when how many were deleted
        self._accepts = False  # the user said so
        self._restores = False  # what is gone is not deleted here, but placed again

    def suspect(self, copy: Copy) -> None:
        """A Copy is not where it was known to be."""
        if copy.file not in self._suspects:
            self._last_s = trio.current_time()
            if not self._suspects:
                self._first_s = self._last_s
            self._suspects[copy.file] = None

    @property
    def due_s(self) -> float:
        """When take_out() has something to do; inf if nothing is suspected."""
        if not self._suspects:
            return float("inf")
        return min(self._last_s + REST_S, self._first_s + LONGEST_REST_S)

    def __len__(self) -> int:
        return len(self._suspects)

    def answer(self, *, accept: bool, restore: bool) -> None:
        """What the user said of a Wave: it holds until answered(). All suspects are to be told again."""
        self._accepts, self._restores = accept, restore
        self._suspects.clear()

    def answered(self) -> None:
        """All that the user's answer was about has been told; what comes after it is another wave."""
        if self._accepts or self._restores:
            self._accepts = self._restores = False
            self._recent.clear()

    async def take_out(self) -> Wave | None:
        """Look at the suspects that have rested, and delete what is gone; a Wave, and nothing done, if it is too much.

        Raises DriverError, OSError (the catalog).
        """
        now_s = trio.current_time()
        gone: list[Copy] = []
        suspects, self._suspects = self._suspects, {}
        while suspects:
            some = list(islice(suspects, TOGETHER))
            try:
                gone += await self._gone_of(some)
            except DriverError:
                self._suspects = dict.fromkeys(copy.file for copy in gone) | suspects | self._suspects
                raise
            for file in some:
                del suspects[file]
        if not gone:
            return None
        if not (self._accepts or self._restores):
            wave = await self._wave(gone)
            if wave is not None:
                return wave
        done = 0
        for copy in gone:
            if self._is_still(copy):
                done += await self._take_out(copy)
            else:
                self.suspect(copy)
        self._recent.append((now_s, done))
        return None

    async def _gone_of(self, files: Sequence[FileId]) -> list[Copy]:
        """Those of the suspects that are gone for sure. The others are suspects again, or are looked at again."""
        outside = self._outside
        gone: list[Copy] = []
        looked: list[tuple[Copy, RemotePath]] = []
        for file in files:
            copy = self._placements.get(file, self._entry)
            if copy is None:
                continue
            path = outside.path(copy)
            if outside.is_busy(copy.place):
                self.suspect(copy)
            elif path is None:
                gone.append(copy)
            else:
                looked.append((copy, path))
        epoch = outside.epoch
        answers = await outside.plug.look_at([path for _, path in looked])
        if outside.epoch != epoch and len(looked) > 1:  # an order has ended meanwhile: fewer are seen more quickly
            half = len(looked) // 2
            for some in (looked[:half], looked[half:]):
                gone += await self._gone_of([copy.file for copy, _ in some])
            return gone
        for (copy, path), found in zip(looked, answers, strict=True):
            if isinstance(found, DriverError):
                raise found
            if outside.epoch != epoch or not self._is_still(copy) or outside.is_busy(copy.place):
                self.suspect(copy)
            elif found is not None and found.kind is copy.kind:
                self._look_again(path)  # it is there, or another has its name, which is an edit
            else:
                gone.append(copy)
        return gone

    def _is_still(self, copy: Copy) -> bool:
        return self._placements.get(copy.file, self._entry) == copy

    # -- too much? -----------------------------------------------------------------------------------------------------

    async def _wave(self, gone: list[Copy]) -> Wave | None:
        """Whether `gone`, with all below it and with what went lately, is an unusually large part of the entry."""
        since_s = trio.current_time() - WAVE_S
        self._recent = [(at_s, number) for at_s, number in self._recent if at_s >= since_s]
        lately = sum(number for _, number in self._recent)
        count = lately
        for copy in gone:
            count += 1
            if copy.kind is Kind.DIRECTORY:
                count += await self._count_below(copy)
        if count < MANY:
            return None
        of = lately + await self._count_all()
        return Wave(count, of) if count >= LARGE_PART * of else None

    async def _count_below(self, copy: Copy) -> int:
        count = 0
        directories = [copy.file]
        while directories:
            directory, after = directories.pop(), b""
            while rows := self._placements.standing_in(self._entry, directory, after, SLICE):
                count += len(rows)
                directories += [file for _, file in rows if self._is_directory(file)]
                after = rows[-1][0]
                await trio.lowlevel.checkpoint()
        return count

    def _is_directory(self, file: FileId) -> bool:
        copy = self._placements.get(file, self._entry)
        return copy is not None and copy.kind is Kind.DIRECTORY

    async def _count_all(self) -> int:
        count, after = 0, b""
        while rows := self._placements.on(self._entry, after, 1000):
            count += len(rows)
            after = rows[-1][0]
            await trio.lowlevel.checkpoint()
        return count

    # -- deleting ------------------------------------------------------------------------------------------------------

    async def _take_out(self, copy: Copy) -> int:
        """Delete what a gone Copy was of, and before it all that stood in it. How many objects that were."""
        done = 0
        way: list[tuple[Copy, bytes]] = [(copy, b"")]
        while way:
            above, after = way[-1]
            rows = self._below(above, after)
            if not rows:
                way.pop()
                self._lose(above)
                done += 1
                if done % SLICE == 0:
                    await trio.lowlevel.checkpoint()
                continue
            key, file = rows[0]
            way[-1] = above, key
            child = self._placements.get(file, self._entry)
            if child is not None:
                way.append((child, b""))
        return done

    def _below(self, copy: Copy, after: bytes) -> list[tuple[bytes, FileId]]:
        if copy.kind is not Kind.DIRECTORY:
            return []
        return self._placements.standing_in(self._entry, copy.file, after, 1)

    def _lose(self, copy: Copy) -> None:
        """One object is gone for sure."""
        copy = self._placements.get(copy.file, self._entry) or copy
        if self._outside.is_busy(copy.place):
            return  # what is under way finds out for itself
        standing = self._outside.standing(copy.file, copy)
        loss = Loss.FORGET if self._restores else lose(copy, standing)
        if loss is Loss.FORGET and self._held_only_there(copy):
            loss = Loss.DELETE  # its name alone would be of no use
        if loss is Loss.WAIT:
            self.suspect(copy)
            return
        if loss is Loss.DELETE:
            self._delete(copy, standing)
        changes: Changes = {}
        self._placements.write(changes, removed=(copy,))
        self._outside.volume.mark(changes, copy.file, "lost")
        self._outside.volume.catalog.commit(changes)
        self._outside.placing.copy_changed(copy.file)

    def _held_only_there(self, copy: Copy) -> bool:
        """Whether nobody has the bytes any more, so that it cannot be placed again."""
        name = self._outside.volume.name(copy.file)
        if copy.kind is not Kind.FILE or name is None or not name.alive:
            return False
        inode = self._outside.volume.peek(name.inode)
        others = (other for entry, other in self._placements.of(copy.file).items() if entry != self._entry)
        return inode.absent and not any(other.generation == inode.generation for other in others)

    def _delete(self, copy: Copy, standing: Standing) -> None:
        volume = self._outside.volume
        name = volume.name(copy.file)
        if name is None or not name.alive:
            return
        try:
            with volume.history.on_behalf_of(self._entry):
                if standing.kind is Kind.DIRECTORY:
                    volume.remove_directory(name.parent, name.name)
                else:
                    volume.unlink(name.parent, name.name)
        except FileError:  # a directory in which something else lives: it stays, and is made again there
            return
        self._outside.tell_kernel(name.parent, name.name)
        log.info("deleted, as it was on an entry", extra={"entry": self._entry, "path": volume.shown(copy.file)})
