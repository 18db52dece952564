"""How fast entries are to read from: what their drivers and the setup say at first, then what is measured.

What was measured counts less and less as it ages, so an entry that was slow once is tried again. All of it is pure:
times are given, in seconds of one clock.
"""

import math
from dataclasses import dataclass

HALF_LIFE_S = 300.0
SAID = 0.1  # what is said counts like a tenth of a measurement
MOST = 8.0  # and all that was measured before like so many at the most
LARGE_BYTES = 64 << 10  # a call for less tells about latency, one for more about throughput


@dataclass(frozen=True, slots=True)
class Speed:
    """What is expected of an entry. `known`: not only said."""

    latency_s: float
    bytes_per_s: float
    known: bool = True

    def takes_s(self, length: int) -> float:
        """How long a call for so many bytes takes."""
        return self.latency_s + length / self.bytes_per_s


def said(velocity: float) -> Speed:
    """What a velocity stands for. 1: 0.1 ms, 1 GB/s (a local disk); 0.5: 10 ms, 10 MB/s; 0: 1 s, 100 kB/s."""
    return Speed(latency_s=10 ** (-4 * velocity), bytes_per_s=10 ** (5 + 4 * velocity), known=False)


@dataclass(frozen=True, slots=True)
class Average:
    """A mean of logarithms: ten times too slow and ten times too fast cancel out."""

    log: float = 0.0
    weight: float = 0.0
    at_s: float = 0.0

    def weight_at(self, now_s: float) -> float:
        return self.weight * math.exp2((self.at_s - now_s) / HALF_LIFE_S)

    def and_(self, value: float, now_s: float) -> "Average":
        """With one more, of now."""
        before = min(self.weight_at(now_s), MOST - 1)
        log = (self.log * before + math.log(value)) / (before + 1)
        return Average(log, before + 1, now_s)

    def towards(self, said: float, now_s: float) -> float:
        """The mean of what was measured and what was said."""
        weight = self.weight_at(now_s)
        return math.exp((math.log(said) * SAID + self.log * weight) / (SAID + weight))


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one entry."""

    latency: Average = Average()
    rate: Average = Average()

    def speed(self, said: Speed, now_s: float) -> Speed:
        latency_s, rate = self.latency.towards(said.latency_s, now_s), self.rate.towards(said.bytes_per_s, now_s)
        return Speed(latency_s, rate, known=self.rate.weight_at(now_s) > SAID)

    def and_(self, length: int, took_s: float, alone_s: float, now_s: float) -> "Measured":
        """With one more call, for `length` bytes. `alone_s`: how long it would have taken with the line to itself."""
        if length < LARGE_BYTES:
            return Measured(self.latency.and_(max(took_s, 1e-5), now_s), self.rate)
        return Measured(self.latency, self.rate.and_(length / max(alone_s, 1e-6), now_s))

    def and_silent(self, waited_s: float, now_s: float) -> "Measured":
        """With one more call, that was not waited for any longer."""
        return Measured(self.latency.and_(waited_s, now_s), self.rate)


class Line:
    """Tells how long each of several calls at one time would have taken alone: they share the line evenly."""

    def __init__(self) -> None:
        self._calls = 0
        self._at_s = 0.0
        self._share_s = 0.0  # what a call got that was there from the beginning

    def begin(self, now_s: float) -> float:
        """A call begins; what `end` is to be given."""
        self._go_on(now_s)
        self._calls += 1
        return self._share_s

    def end(self, begun: float, now_s: float) -> float:
        """It ends: seconds that it had the line to itself, in sum."""
        self._go_on(now_s)
        self._calls -= 1
        return self._share_s - begun

    def _go_on(self, now_s: float) -> None:
        if self._calls:
            self._share_s += (now_s - self._at_s) / self._calls
        self._at_s = now_s
