"""How an entry is: what status shows of it."""

from collections.abc import Callable
from typing import Literal

State = Literal["starting", "up", "degraded", "auth-needed", "full", "suspended", "paused"]


class Health:
    """An entry's state. `since`: wall clock, in seconds; `message`: what happened; `remedy`: what a person can do.

    starting: not connected yet. up: working. degraded: passing trouble, tried again by itself. auth-needed, suspended:
    waits for a person. full: the service is full; what needs no space goes on. paused: by the user.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self.state: State = "starting"
        self.since = now_s()
        self.message = ""
        self.remedy = ""
        self.hint = "", ""  # what could be better, and how, while it is up
        self.on_change: Callable[[], None] | None = None

    def advise(self, message: str, remedy: str) -> None:
        """Something could be better, though the entry is up; "": not any more."""
        self.hint = message, remedy

    def become(self, state: State, message: str = "", remedy: str = "") -> None:
        """Enter a state. `since` stays if only the message differs."""
        if (state, message, remedy) == (self.state, self.message, self.remedy):
            return
        if state != self.state:
            self.since = self._now_s()
        self.state, self.message, self.remedy = state, message, remedy
        if self.on_change is not None:
            self.on_change()
