"""How far what an entry's service tells has been taken over, also after a restart.

A cursor is written down only when everything that was told before it is in the catalog: nothing waits, nothing is to be
looked at again, nothing is suspected. Until then the one before holds, and after a kill all since is told once more:
to be told twice does no harm.
"""

from collections.abc import Callable
from typing import Any

LASTS_S = 86_400.0
"""With a cursor older than that since all was listed, all is listed again: services do not tell everything."""


class Feed:
    """The cursor of one entry. `known`, `remember`: what is kept of it over restarts. `identity`: of the place, without
    which a cursor means nothing. `now_s`: wall clock."""

    def __init__(
        self,
        *,
        known: Callable[[], Any],
        remember: Callable[[object], None],
        identity: Callable[[], str | None],
        now_s: Callable[[], float],
    ) -> None:
        self._remember = remember
        self._identity = identity
        self._now_s = now_s
        self._listed_s = 0.0
        self._whose: str | None = None  # the place that the cursor is of
        self._told: str | None = None
        self._written: str | None = None
        self._doubted = False
        kept = known()
        if kept is not None:
            whose, cursor, listed_s = kept
            if whose == identity() and 0 <= now_s() - listed_s < LASTS_S:
                self._told = self._written = cursor
                self._whose = whose
                self._listed_s = listed_s

    @property
    def cursor(self) -> str | None:
        """Where to go on: what came before is taken over, or waits in memory."""
        return self._told if self._whose == self._identity() else None

    def told(self, cursor: str | None) -> None:
        """Something was told, and waits to be taken over; after it comes `cursor`, or the one before is still good."""
        if cursor is not None:
            self._whose, self._told = self._identity(), cursor

    def listed(self) -> None:
        """All that is on the entry has been seen."""
        self._listed_s = self._now_s()
        self._doubted = False

    def doubt(self) -> None:
        """Something that was told was not taken over, and is not tried again before all is listed."""
        self._doubted = True

    def taken_over(self) -> None:
        """Nothing that was told waits any more. Raises OSError if the catalog cannot be written."""
        if self._doubted or not self._listed_s or self._told is None or self._told == self._written:
            return
        self._remember((self._whose, self._told, self._listed_s))
        self._written = self._told
