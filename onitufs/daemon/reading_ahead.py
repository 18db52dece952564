"""Guesses what will be read next, from what was read before."""

from onitufs.content.partial import BLOCK_BYTES

MOST_AHEAD = 16  # blocks
_MOST_STREAMS = 8


class Streams:
    """The places in one file where programs read on. A stream that goes on is read ahead of, ever further."""

    def __init__(self) -> None:
        self._known: list[
            tuple[int, int]
        ] = []  # where the next read is expected, and how many blocks ahead; newest last

    def ahead(self, offset: int, length: int) -> tuple[int, int]:
        """These bytes are read now. Offset and length of what is worth fetching besides."""
        end, window = offset + length, 0
        for at, (expected, before) in enumerate(self._known):
            if offset == expected:
                del self._known[at]
                window = min(max(1, 2 * before), MOST_AHEAD)
                break
        self._known = [*self._known[1 - _MOST_STREAMS :], (end, window)]
        return end, window * BLOCK_BYTES
