"""How long to wait before the next attempt: exponential with full jitter, so that not all clients come back at once.

Source: "Exponential Backoff and Jitter", AWS Architecture Blog.
"""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between attempts. After failure number n: anything from `floor_s` to min(cap_s, first_s * 2**(n-1))."""

    random: Random
    first_s: float = 2.0
    cap_s: float = 300.0
    floor_s: float = 0.25

    def delay_s(self, failures: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after that many failures in a row (1 or more).

        `retry_after_s`: what the service asked for; never less than that, and a little more, so that not all of its
        clients come back in the same instant.
        """
        top = min(self.cap_s, self.first_s * 2 ** min(failures - 1, 30))
        jittered = self.random.uniform(self.floor_s, max(self.floor_s, top))
        if retry_after_s is None:
            return jittered
        return max(0.0, retry_after_s) + min(jittered, 0.1 * retry_after_s + 1.0)
