"""Guesses what will be read next, from what was read before, and how much of it to ask for in one call.

An entry may be 0.1 ms away or 200, and give 50 kB a second or 100 MB. What is under way at one time has to be more than
comes in a round trip, or the reader waits for each of them; and no single call may take so long that it looks like
silence.
"""

from dataclasses import dataclass

from onitufs.content.partial import BLOCK_BYTES

MOST_AHEAD = 32 << 20  # bytes
LEAST_AHEAD = 2 * BLOCK_BYTES
MOST_PIECE = 4 << 20
AHEAD_S = 2.0  # no more than comes in this time is fetched ahead
PIECE_S = 1.0  # and in one call
AT_ONCE = 6  # so many calls share what is fetched ahead
GROWTH = 4  # so many times what was read on is fetched ahead
NEAR = 2 * BLOCK_BYTES  # who skips no more than that still reads on
_MOST_STREAMS = 8


@dataclass(slots=True, eq=False)
class Stream:
    """One place in a file where somebody reads on."""

    expected: int  # where the next read begins
    run: int = 0  # bytes read on, up to there
    reached: int = 0  # block up to which all has been asked for


class Streams:
    """The places in one file where programs read on. The longer one goes on, the further it is read ahead of."""

    def __init__(self) -> None:
        self._known: list[Stream] = []  # newest last

    def reads(self, offset: int, length: int) -> Stream:
        """These bytes are read now."""
        for at, stream in enumerate(self._known):
            if 0 <= offset - stream.expected <= NEAR:
                del self._known[at]
                stream.run += length
                break
        else:
            stream = Stream(offset)
        stream.expected = offset + length
        self._known = [*self._known[1 - _MOST_STREAMS :], stream]
        return stream


def ahead_of(stream: Stream, bytes_per_s: float) -> int:
    """How many bytes after those read now are worth having under way, from an entry that gives so many."""
    if not stream.run:
        return 0
    return int(min(GROWTH * stream.run, MOST_AHEAD, max(LEAST_AHEAD, AHEAD_S * bytes_per_s)))


def piece_of(ahead: int, bytes_per_s: float) -> int:
    """How many blocks to ask for in one call when so many bytes are fetched ahead; 0 bytes: all at once."""
    most = min(MOST_PIECE, PIECE_S * bytes_per_s)
    wanted = min(most, ahead / AT_ONCE) if ahead else most
    return max(1, int(wanted) // BLOCK_BYTES)
