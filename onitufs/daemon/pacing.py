"""How much of the time placing and all that goes with it may take while programs use the mount."""

import time
from collections.abc import Callable

QUIET_S = 0.1  # without a request for so long, no program is at work on the mount
REST = 4  # while programs are at work, all our work together rests so many times as long as it takes
LONGEST_REST_S = 0.5


class Pacing:
    """A Pace that all who work share: what one does is rest for the others, too. Any thread may ask.

    `asked_s`: when a program last asked for something, by the clock `now_s`.
    """

    def __init__(self, asked_s: Callable[[], float], now_s: Callable[[], float] = time.monotonic) -> None:
        self.hurried = False  # somebody waits for us to be done
        self._now_s = now_s
        self._asked_s = asked_s
        self._rested_s = 0.0  # when everything that was done so far has been rested for

    def rest_s(self, worked_s: float) -> float:
        """How long to rest after so many seconds of work."""
        now_s = self._now_s()
        if self.hurried or now_s - self._asked_s() > QUIET_S:
            self._rested_s = now_s
            return 0.0
        self._rested_s = min(max(self._rested_s, now_s) + REST * worked_s, now_s + LONGEST_REST_S)
        return self._rested_s - now_s
