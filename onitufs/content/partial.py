"""A content file of which some blocks are here and others are not yet.

Which ones is kept in memory only: after a crash they are fetched again.
"""

import os

from onitufs.model.ids import ContentId

BLOCK_BYTES = 1 << 20


class Partial:
    """Owns `fd`, of an empty content file that is to become `size` bytes. For the loop, until `close`."""

    def __init__(self, content: ContentId, fd: int, size: int) -> None:
        self.content = content
        self.size = size
        self.fd = fd
        self._here = bytearray(-(-size // BLOCK_BYTES))
        self.left = len(self._here)

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

    def span(self, block: int) -> tuple[int, int]:
        """Offset and length of a block."""
        offset = block * BLOCK_BYTES
        return offset, min(BLOCK_BYTES, self.size - offset)

    def put(self, block: int, data: bytes) -> None:
        """A whole block has come. Raises OSError."""
        offset, length = self.span(block)
        assert len(data) == length
        while data:
            done = os.pwrite(self.fd, data, offset)
            data, offset = data[done:], offset + done
        if not self._here[block]:
            self._here[block] = 1
            self.left -= 1

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes, of blocks that are here; fewer only at the end. Raises OSError."""
        return os.pread(self.fd, max(0, min(length, self.size - offset)), offset)

    def close(self) -> None:
        """Twice is fine."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
