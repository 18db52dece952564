"""Fetching a whole file in one go."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

import trio

from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.plug import Plug
from onitufs.drivers.sight import FETCHES
from onitufs.model.copies import Copy
from onitufs.model.digests import algorithm_of, digest_of, is_one_of
from onitufs.model.errors import Conflict
from onitufs.model.files import Inode
from onitufs.model.ids import EntryName, GenerationId
from onitufs.volume import Volume

from .under_way import Under, telling

_LITTLE = 256 << 10  # bytes, whose digest takes less time than to hand them to a thread


class WholeCalls:
    """Calls for whole files, to each entry as many at one time as its Plug makes.

    Who waited for the Plug would not be told from one who waits for an entry that hangs. A call that hangs counts until
    it returns.
    """

    def __init__(self) -> None:
        self._running: Counter[EntryName] = Counter()
        self._ended = trio.Event()

    def begin(self, entry: EntryName) -> bool:
        """Whether one more may be made; then `end` is to follow."""
        if self._running[entry] >= FETCHES:
            return False
        self._running[entry] += 1
        return True

    def end(self, entry: EntryName) -> None:
        """One has returned."""
        self._running[entry] -= 1
        ended, self._ended = self._ended, trio.Event()
        ended.set()

    async def ended(self) -> None:
        """Wait until any has returned."""
        await self._ended.wait()


class TooManyCalls(Exception):
    """An entry is to be asked for no more whole files at the moment."""


class Attempt:
    """One whole file from one holder. What hangs in a thread is not waited for, but it keeps its descriptor."""

    def __init__(
        self, volume: Volume, inode: Inode, plug: Plug, path: RemotePath, copy: Copy, digests: Iterable[bytes]
    ) -> None:
        self._volume = volume
        self._number = inode.number
        self._generation: GenerationId = inode.generation
        self._size = inode.size
        self._plug = plug
        self._path = path
        self._copy = copy
        self._digests = digests
        self._scope = trio.CancelScope()
        self._under = Under()
        self._written = 0
        self._fd = -1

    async def ended_or_stalled(self, stall_s: float) -> None:
        """Wait for the end of `run`. Raises what it raised; trio.TooSlowError if nothing comes for too long."""
        try:
            await ended_or_stalled(self._under.done, self._progress, stall_s)
            await self._under.wait()
        finally:
            self._scope.cancel()

    def _progress(self) -> object:
        return self._written, 0 if self._fd < 0 else grown(self._fd)

    async def run(self) -> None:
        with telling(self._under), self._scope:
            content, self._fd = self._volume.begin_fetch()
            try:
                await self._into(self._fd)
            except BaseException:
                self._volume.abandon(content)
                raise
            finally:
                fd, self._fd = self._fd, -1
                os.close(fd)
            self._volume.arrived(self._number, self._generation, content)
        if self._scope.cancelled_caught:
            self._under.trouble = trio.TooSlowError()
        self._under.done.set()

    async def _into(self, fd: int) -> None:
        copy = self._copy

        def tick(written: int) -> None:  # in a thread
            self._written = written

        digest = await self._plug.fetch(self._path, copy.rev, fd, tick, file=copy.file, size=self._size)
        if os.fstat(fd).st_size != self._size:
            raise Conflict("it has another size than was known")
        if not await is_any_of(fd, self._digests, digest):
            raise Conflict("its bytes are not those that were known")


async def ended_or_stalled(done: trio.Event, progress: Callable[[], object], stall_s: float) -> None:
    """Wait for the end. Raises trio.TooSlowError once `progress` has answered the same for so long."""
    while not done.is_set():
        before = progress()
        with trio.move_on_after(stall_s):
            await done.wait()
        if not done.is_set() and progress() == before:
            raise trio.TooSlowError


def grown(fd: int) -> tuple[int, int]:
    """Changes as bytes come into a file: a driver need not tell of each few, and a slow line brings no more in the
    time."""
    found = os.fstat(fd)
    return found.st_size, found.st_blocks


async def is_any_of(fd: int, known: Iterable[bytes], given: bytes = b"") -> bool:
    """Whether a file's digest is one of those known, or none is. `given`: one that was computed already, or b"".

    Raises OSError.
    """
    known = set(known)
    size = os.fstat(fd).st_size
    if size <= _LITTLE:
        return is_one_of(_read(fd, 0, size), known)
    fd = os.dup(fd)  # what is closed meanwhile
    try:
        for algorithm in sorted({algorithm_of(digest) for digest in known}):
            if given and algorithm_of(given) == algorithm:
                digest = given
            else:
                digest = await trio.to_thread.run_sync(digest_of, partial(_read, fd), algorithm)
            if digest in known:
                return True
    finally:
        os.close(fd)
    return not known


def _read(fd: int, offset: int, length: int) -> bytes:
    return os.pread(fd, length, offset)
