"""How many pieces of work of one entry may run at once, and which."""

import trio

from .queue import Line


class Lanes:
    """The lanes of an entry. Large files never take the last one, huge ones nor the last but one; batches of small
    files run one at a time.

    `probing`: there was trouble that may be over, and one piece of work at a time finds out, beside what runs already.
    `full_until`: the service was full; from that time on, one file at a time finds out whether there is space again.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._busy = dict.fromkeys(Line, 0)
        self._trial = 0
        self._in_trial = 0  # pieces of work that run and were begun in this trial
        self.probing = False
        self.full_until: float | None = None

    @property
    def alone(self) -> bool:
        """Whether files are to be tried singly, not in batches."""
        return self.probing or self.full_until is not None

    def free(self, line: Line, *, batches: bool) -> bool:
        """Whether something of that line may begin now. `batches`: the driver takes small files in batches."""
        if sum(self._busy.values()) >= self._count or (self.probing and self._in_trial > 0):
            return False
        if line is Line.NAMES:
            return True
        if self.full_until is not None:
            return trio.current_time() >= self.full_until and sum(self._busy.values()) == self._busy[Line.NAMES]
        if line is not Line.SMALL:
            large = self._busy[Line.LARGE] + self._busy[Line.HUGE]
            most_huge = max(1, self._count - 2)
            return large < max(1, self._count - 1) and (line is Line.LARGE or self._busy[line] < most_huge)
        # One batch at a time: what arrives while it is synced makes the next one.
        return not (batches and self._busy[line])

    def probe(self) -> None:
        """Begin a trial."""
        self.probing = True
        self._trial += 1
        self._in_trial = 0

    def begin(self, line: Line) -> int:
        """Take a lane; what `end` is to be given."""
        self._busy[line] += 1
        self._in_trial += 1
        return self._trial

    def end(self, line: Line, trial: int) -> None:
        self._busy[line] -= 1
        if trial == self._trial:
            self._in_trial -= 1
