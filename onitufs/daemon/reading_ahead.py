"""Guesses what will be read next, from what was read before, and how much of it to ask for in one call.

An entry may be 0.1 ms away or 200, and give 50 kB a second or 100 MB. What is under way at one time has to be more than
comes in a round trip, or the reader waits for each of them; and no single call may take so long that it looks like
silence.
"""

from dataclasses import dataclass

from onitufs.content.partial import BLOCK_BYTES

from .speeds import Speed

MOST_AHEAD = 32 << 20  # bytes
LEAST_AHEAD = 2 * BLOCK_BYTES
MOST_PIECE = 4 << 20
USUAL_PIECE = 1 << 20
MOST_AROUND = 1 << 20
LITTLE_S = 0.002  # waiting so much longer is not noticed
MUCH_S = 0.25  # and so much longer is, whatever it would have been
AHEAD_S = 2.0  # no more than comes in this time is fetched ahead
PIECE_S = 1.0  # and in one call
AT_ONCE = 6  # so many calls share what is fetched ahead
GROWTH = 4
"""So many times what was read on is fetched ahead, and what seems to fill a line: it may be only what we asked for."""
FIRST_BYTES = 2 * BLOCK_BYTES  # of an entry of which nothing was measured
NEAR = 2 * BLOCK_BYTES  # who skips no more than that still reads on
_MOST_STREAMS = 8


@dataclass(slots=True, eq=False)
class Stream:
    """One place in a file where somebody reads on."""

    expected: int  # where the next read begins
    began: int = 0
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
            stream = Stream(offset, began=offset)
        stream.expected = offset + length
        self._known = [*self._known[1 - _MOST_STREAMS :], stream]
        return stream


def ahead_of(stream: Stream, speed: Speed) -> int:
    """How many bytes after those read now are worth having under way, from an entry that is so fast."""
    if not stream.run:
        return 0
    return int(min(GROWTH * stream.run, MOST_AHEAD, max(LEAST_AHEAD, AHEAD_S * speed.bytes_per_s)))


def around(speed: Speed) -> int:
    """How many blocks to ask for, of which one is wanted: so many that the call takes little longer for it."""
    if not speed.known:
        return FIRST_BYTES // BLOCK_BYTES
    spare_s = max(LITTLE_S, min(MUCH_S, speed.latency_s / 2))
    return max(1, int(min(MOST_AROUND, spare_s * speed.bytes_per_s)) // BLOCK_BYTES)


def piece_of(ahead: int, speed: Speed) -> int:
    """How many blocks to ask for in one call when so many bytes are fetched ahead; 0 bytes: all at once.

    No more than it takes to keep the line busy: what is small stays in the processor's caches on its way.
    """
    most = min(MOST_PIECE, PIECE_S * speed.bytes_per_s)
    if ahead:
        on_the_way = speed.latency_s * speed.bytes_per_s
        most = min(most, ahead / AT_ONCE, max(USUAL_PIECE, GROWTH * on_the_way / AT_ONCE))
    return max(1, int(most) // BLOCK_BYTES, around(speed))
