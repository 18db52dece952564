"""A generation that stays readable while the file changes under it: old bytes go to a side file first.

The writer (the loop) saves each block to the side file and marks it *before* it changes the content file. The reader
(a thread) reads the content file and looks at the mark *afterwards*: no mark, no change yet. Marked: the bytes are
taken from the side file. Neither waits for the other.
"""

import errno
import fcntl
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from blake3 import blake3

from onitufs.model.errors import Stale

log = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 20
SIDE_BYTES = 256 << 20
"""Beyond so many saved bytes the transfer costs more than it is worth: the snapshot goes stale."""
_FICLONE = 0x40049409  # ioctl_ficlonerange(2)


class Snapshot:
    """A model.source.Source. `save_before` is for the loop, the rest for the thread of one transfer."""

    def __init__(
        self, fd: int, size: int, directory: Path, forget: "Callable[[Snapshot], None]", side_bytes: int = SIDE_BYTES
    ) -> None:
        """Owns `fd`. Side bytes go to an unnamed file in `directory`, made when the first block is saved."""
        self.size = size
        self._fd = fd
        self._directory = directory
        self._forget = forget
        self._bound = side_bytes
        self._side = -1
        self._side_end = 0
        self._saved: dict[int, int] = {}  # block number -> where it lies in the side file
        self._stale = ""  # why, once it is
        # Guards the descriptors against being closed under a call; never held while bytes are read for a transfer.
        self._lock = Lock()
        self._calls = 0
        self._closed = False

    # -- the loop ---------------------------------------------------------------------------------------------------

    def save_before(self, offset: int, length: int) -> None:
        """Bytes [offset, offset + length) of the content file are about to change or to be cut off.

        Never raises: a snapshot that cannot keep its bytes goes stale, the program's write goes on.
        """
        end = min(offset + length, self.size)
        if offset >= end or self._stale:
            return
        with self._lock:
            if self._closed:
                return
            try:
                for block in range(offset // BLOCK_BYTES, (end - 1) // BLOCK_BYTES + 1):
                    if block not in self._saved:
                        self._save(block)
            except OSError as exc:
                self._stale = f"its old bytes could not be kept: {exc}"

    def _save(self, block: int) -> None:
        at = block * BLOCK_BYTES
        length = min(BLOCK_BYTES, self.size - at)
        if self._side_end + length > self._bound:
            self._stale = "the file is being rewritten"
            return
        if self._side < 0:
            self._side = _unnamed_file(self._directory)
        data = os.pread(self._fd, length, at)
        if len(data) != length or os.pwrite(self._side, data, self._side_end) != length:
            raise OSError(errno.EIO, "short read or write")
        self._saved[block] = self._side_end
        self._side_end += length

    # -- the transfer -----------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end. Raises Stale, OSError."""
        with _Call(self):
            end = min(offset + length, self.size)
            pieces = []
            while offset < end:
                stop = min(end, (offset // BLOCK_BYTES + 1) * BLOCK_BYTES)
                pieces.append(self._read_in_block(offset, stop - offset))
                offset = stop
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_in_block(self, offset: int, length: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        if self._stale:  # set before the bytes change, so it is looked at after they were read
            raise Stale(self._stale)
        block = offset // BLOCK_BYTES
        saved = self._saved.get(block)
        if saved is not None:
            data = os.pread(self._side, length, saved + offset - block * BLOCK_BYTES)
        if len(data) != length:
            raise OSError(errno.EIO, "the content file is shorter than the generation")
        return data

    def copy_into(self, fd: int, tick: Callable[[int], None] | None = None) -> bytes:
        """Write all of it into the empty file `fd`; its blake3 digest, or b"" where the disk shared the blocks.

        `tick` gets the bytes written so far after each block; what it raises passes. Raises Stale, OSError.
        """
        if self.size >= BLOCK_BYTES and self._clone_into(fd):
            return b""
        digest = blake3()
        for at in range(0, self.size, BLOCK_BYTES):
            data = memoryview(self.read(at, BLOCK_BYTES))
            digest.update(data)
            while data:
                written = os.pwrite(fd, data, at)
                data = data[written:]
                at += written
            if tick is not None:
                tick(at)
        return digest.digest()

    def _clone_into(self, fd: int) -> bool:
        """Share the blocks, if the disk can, and the file has not changed since. False: copy instead."""
        with _Call(self):
            if self._saved:
                return False
            try:
                fcntl.ioctl(fd, _FICLONE, self._fd)
            except OSError:
                return False  # other disk, or one that cannot share
            if self._saved or self._stale:
                os.ftruncate(fd, 0)
                return False
            os.ftruncate(fd, self.size)
            return True

    def close(self) -> None:
        """Idempotent. A call in progress in another thread ends first, undisturbed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle = self._calls == 0
        self._forget(self)
        if idle:
            self._close_files()

    def _close_files(self) -> None:
        os.close(self._fd)
        if self._side >= 0:
            os.close(self._side)


class _Call:
    """One call in progress: the descriptors stay open until it ends."""

    __slots__ = ("_snapshot",)

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def __enter__(self) -> None:
        s = self._snapshot
        with s._lock:
            if s._closed:
                raise Stale("the snapshot is closed")
            s._calls += 1

    def __exit__(self, *exc: object) -> None:
        s = self._snapshot
        with s._lock:
            s._calls -= 1
            last = s._closed and s._calls == 0
        if last:
            s._close_files()


def _unnamed_file(directory: Path) -> int:
    try:
        return os.open(directory, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    except OSError:  # not every disk can
        fd, name = tempfile.mkstemp(dir=directory)
        os.unlink(name)
        return fd
