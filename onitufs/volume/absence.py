"""Files whose bytes are not here, and how they come.

An absent inode has no content file (content id 0). What is fetched lies in a content file that no record names, until
all of it is here: then one record gives it to the inode, and a barrier treats that like a seal. So after a crash either
the whole is here or it is fetched again, and what was half fetched is removed as what nothing names.
"""

import errno
import os
from typing import Protocol

import trio

from onitufs.catalog import keys
from onitufs.catalog.records import pack_value
from onitufs.content.files import ContentStore
from onitufs.content.usage import cost
from onitufs.model.errors import DriverError, NoInode, NoSpace, ServiceError, Stale
from onitufs.model.files import Inode
from onitufs.model.ids import ContentId, FileId, GenerationId, InodeNumber, Seq

from .arrivals import Arrivals
from .opened import OpenFile
from .tree import Changes

SMALL_BYTES = 1 << 20
"""Up to so much is fetched whole by open(), and then read through the kernel's cache like any other file."""
UNDURABLE_BYTES = 64 << 20  # so much waits for a barrier at most (D5): another file's fsync waits for it as well
_NEWEST = keys.meta("newest fetched")


class Far(Protocol):
    """Whoever can get bytes that are not here.

    All raise ServiceError (no entry that has them is up), trio.TooSlowError (none answered in time), Stale (none has
    them any more), NoSpace, OSError.
    """

    async def read(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        """Up to `length` bytes of an absent file, fewer only at its end; None if it is here as a whole by now."""
        ...

    async def glance(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        """The same, but nothing is kept of it, and nothing read ahead."""
        ...

    async def fetch_all(self, number: InodeNumber) -> None:
        """Return when a file is here as a whole."""
        ...

    async def verify(self, number: InodeNumber) -> None:
        """Raise Stale if an entry says that it has the bytes of an absent file no more; nothing else is waited for."""
        ...

    def want(self, number: InodeNumber) -> None:
        """Begin to fetch the whole file; nobody waits."""
        ...


class Nowhere:
    """A Far that knows no entries."""

    async def read(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        raise ServiceError(f"the bytes of inode {number} are not here")

    async def glance(self, number: InodeNumber, offset: int, length: int) -> bytes | None:
        raise ServiceError(f"the bytes of inode {number} are not here")

    async def fetch_all(self, number: InodeNumber) -> None:
        raise ServiceError(f"the bytes of inode {number} are not here")

    async def verify(self, number: InodeNumber) -> None:
        return

    def want(self, number: InodeNumber) -> None:
        return


class Absence(Arrivals):
    """A Tree in which bytes may be absent, and arrive. Plain methods never wait."""

    content: ContentStore
    far: Far
    _arrived: dict[InodeNumber, Seq]  # whose bytes came by a record that may not be on disk yet

    def _opened(self, number: InodeNumber) -> OpenFile | None:
        raise NotImplementedError

    async def _bring(self, inode: Inode) -> None:
        while inode.absent:
            await self.far.fetch_all(inode.number)

    async def bring_to_open(self, number: InodeNumber) -> None:
        """What open() waits for: a small absent file is here then, a large one was not changed on its entries.

        If others have changed it there, or removed it, that is waited for until it is so in the mount, too: NoInode.
        Whatever has its name then is ready to be opened, since the kernel asks but once more. Raises as Far.
        """
        inode = self.peek(number)
        files = inode.files
        try:
            await self._bring_or_verify(inode)
        except Stale:
            while newer := self._newer(files, number):
                number = newer.number
                try:
                    await self._bring_or_verify(newer)
                except Stale:
                    continue
                except (DriverError, NoSpace, OSError, trio.TooSlowError):
                    pass  # its own open will say so
                break
            else:
                if self._has_name(number):
                    raise
            raise NoInode(f"inode {inode.number} has other bytes now, or none") from None

    async def _bring_or_verify(self, inode: Inode) -> None:
        if not inode.absent:
            return
        if inode.size <= SMALL_BYTES:
            await self.far.fetch_all(inode.number)
        else:
            await self.far.verify(inode.number)

    def _newer(self, files: tuple[FileId, ...], number: InodeNumber) -> Inode | None:
        """The inode that has one of these names now, if that is not inode `number`."""
        for file in files:
            name = self.name(file)
            if name is not None and name.alive and name.inode != number:
                return self.peek(name.inode)
        return None

    def _has_name(self, number: InodeNumber) -> bool:
        try:
            return self.peek(number).nlink > 0
        except NoInode:
            return False

    def begin_fetch(self) -> tuple[ContentId, int]:
        """A new content file that no inode has yet, and its descriptor. End it by `arrived` or `abandon`.

        Whether there is room for the bytes is the caller's to ask (Space.room_for). Raises OSError.
        """
        content = ContentId(self.catalog.next_seq)
        fd = self.content.create(content)
        try:
            self.catalog.commit({_NEWEST: pack_value(content)})  # its number is taken
        except BaseException:
            os.close(fd)
            raise
        return content, fd

    def abandon(self, content: ContentId) -> None:
        """What was fetched is not needed."""
        self.content.let_go(content, Seq(self.catalog.next_seq - 1))

    def is_absent(self, number: InodeNumber, generation: GenerationId) -> bool:
        """Whether this generation of a file is there, but its bytes are not."""
        try:
            inode = self.peek(number)
        except NoInode:
            return False
        needed = inode.nlink > 0 or self._is_open(number)
        return needed and inode.absent and inode.generation == generation

    def arrived(
        self, number: InodeNumber, generation: GenerationId, content: ContentId, also: Changes | None = None
    ) -> None:
        """All bytes of a generation are in this content file, which begin_fetch made: the file is here from now on.

        If the generation is not absent any more they are abandoned. `also` is committed in the same record. Raises
        OSError, EIO if their number is wrong; then they are abandoned, too.
        """
        if not self.is_absent(number, generation):
            self.abandon(content)
            return
        inode, opened = self.inode(number), self._opened(number)
        changes: Changes = {} if also is None else also
        fd = -1
        try:
            fd = self.content.open(content)
            found = os.fstat(fd)
            _need_size(found.st_size, inode.size)
            inode.content, inode.absent, inode.blocks = content, False, found.st_blocks
            seq = Seq(self.catalog.next_seq)
            self._commit(changes, inode)
        except BaseException:
            _close(fd)
            self.abandon(content)
            raise
        self.content.sealed(content, seq, found.st_size)
        self.content.usage.sealed(content, 0, cost(found.st_size, found.st_blocks))
        while self._arrived and next(iter(self._arrived.values())) <= self.catalog.durable_seq:
            del self._arrived[next(iter(self._arrived))]
        self._arrived.pop(number, None)  # so that the oldest stay first
        self._arrived[number] = seq
        if self.content.undurable_bytes > UNDURABLE_BYTES:
            self.catalog.request_barrier()
        if opened is None:
            os.close(fd)
        else:
            _close(opened.fd)
            opened.fd = fd

    def arrived_seq(self, number: InodeNumber) -> Seq:
        """The record with which the bytes of a file came, 0 if that is long ago: only once it is on disk may anything
        be taken away elsewhere because they are here."""
        return self._arrived.get(number, Seq(0))

    def note_media_type(self, number: InodeNumber, media_type: str) -> None:
        """Keep what the first bytes of an absent file say they are. Raises NoInode, OSError."""
        inode = self.inode(number)
        inode.media_type = media_type
        self._commit({}, inode)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _need_size(came: int, expected: int) -> None:
    if came != expected:
        raise OSError(errno.EIO, f"{came} bytes came, {expected} were expected")
