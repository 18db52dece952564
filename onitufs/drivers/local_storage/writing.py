"""Files that somebody is writing: told when they are closed, and now and then while they are not."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_S = 0.8
"""After the first write; a hard or symbolic link is never closed, nor is what was truncated by name."""
MOST_S = 5.0
"""Between two tellings of a file that is written without pause."""


class Writing(Generic[K]):
    """When which file is due. Times on one clock, in seconds."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}  # written since it was last told
        self._intervals: dict[K, tuple[float, float]] = {}  # how long to wait, and until when that is remembered

    def __contains__(self, key: K) -> bool:
        return key in self._due

    def wrote(self, key: K, now: float) -> None:
        if key in self._due:
            return
        interval, until = self._intervals.get(key, (FIRST_S, 0.0))
        self._due[key] = now + (interval if now < until else FIRST_S)

    def closed(self, key: K) -> None:
        """It is told anyway."""
        self._due.pop(key, None)
        self._intervals.pop(key, None)

    def due(self) -> float:
        """When the next one is."""
        return min(self._due.values(), default=float("inf"))

    def expired(self, now: float) -> list[K]:
        """Those to be told now."""
        keys = [key for key, due in self._due.items() if now >= due]
        for key in keys:
            del self._due[key]
            interval = min(2 * self._intervals.get(key, (FIRST_S, 0.0))[0], MOST_S)
            self._intervals[key] = (interval, now + 2 * MOST_S)
        if not self._due:
            self._intervals = {key: kept for key, kept in self._intervals.items() if now < kept[1]}
        return keys
