"""A content file of which some blocks are here and others are not yet.

Which ones is kept in memory only: after a crash they are fetched again.
"""

import os
from collections.abc import Callable, Iterator

from onitufs.model.ids import ContentId

BLOCK_BYTES = 1 << 16


class Partial:
    """Owns `fd`, of an empty content file that is to become `size` bytes. For the loop, until `close`."""

    def __init__(self, content: ContentId, fd: int, size: int) -> None:
        self.content = content
        self.size = size
        self.fd = fd
        self._here = bytearray(-(-size // BLOCK_BYTES))
        self.left = len(self._here)

    def __len__(self) -> int:
        """How many blocks it has in all."""
        return len(self._here)

    @property
    def whole(self) -> bool:
        return self.left == 0

    @property
    def empty(self) -> bool:
        return self.left == len(self._here)

    def blocks(self, offset: int, length: int) -> range:
        """Numbers of the blocks that hold these bytes."""
        end = min(offset + length, self.size)
        return range(offset // BLOCK_BYTES, -(-end // BLOCK_BYTES)) if offset < end else range(0)

    def has(self, block: int) -> bool:
        return bool(self._here[block])

    def missing(self, blocks: range, is_coming: Callable[[int], bool], most: int) -> Iterator[range]:
        """Runs of at most so many of these blocks that are not here, nor coming when the iterator gets to them."""
        at = blocks.start
        while (at := self._here.find(0, at, blocks.stop)) >= 0:
            end = at
            while end < min(blocks.stop, at + most) and not self._here[end] and not is_coming(end):
                end += 1
            if end > at:
                yield range(at, end)
            at = max(end, at + 1)

    def span(self, blocks: range) -> tuple[int, int]:
        """Offset and length of some blocks."""
        offset = blocks.start * BLOCK_BYTES
        return offset, min(blocks.stop * BLOCK_BYTES, self.size) - offset

    def put(self, blocks: range, data: bytes) -> None:
        """These blocks have come. Raises OSError."""
        offset, length = self.span(blocks)
        assert len(data) == length
        left = memoryview(data)
        while left:
            done = os.pwrite(self.fd, left, offset)
            left, offset = left[done:], offset + done
        self._mark(blocks)

    def filled(self, blocks: range) -> int:
        """These blocks have come, written by somebody else: how many bytes that is which were not here."""
        return self._mark(blocks) * BLOCK_BYTES

    def _mark(self, blocks: range) -> int:
        new = self._here.count(0, blocks.start, blocks.stop)
        self._here[blocks.start : blocks.stop] = b"\1" * len(blocks)
        self.left -= new
        return new

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes, of blocks that are here; fewer only at the end. Raises OSError."""
        return os.pread(self.fd, max(0, min(length, self.size - offset)), offset)

    def close(self) -> None:
        """Twice is fine."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
