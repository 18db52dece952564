"""What a driver fetches, written into the descriptor that it is given."""

import os


def write_all(fd: int, data: bytes | memoryview, offset: int) -> int:
    """Write all of it at an offset: one pwrite(2) may take less. The offset after it. Raises OSError."""
    left = memoryview(data)
    while left:
        count = os.pwrite(fd, left, offset)
        offset += count
        left = left[count:]
    return offset
