"""What was asked of the service, and how that ended."""

import fnmatch
import itertools
from dataclasses import asdict, dataclass
from typing import Any

from .clock import Bell


@dataclass(eq=False)
class Entry:
    """One request. `ended` is "answered", "cut" or "dropped" once it is over. `meanwhile` counts those that were
    under way when it came."""

    number: int
    host: str
    route: str
    at: float
    arg: Any = None
    account_id: str | None = None
    request_id: str = ""
    user_agent: str = ""
    range: str | None = None
    body_bytes: int = 0
    answer_bytes: int = 0
    status: int | None = None
    summary: str = ""
    read: bool = False
    """Whether all of it is here, and the service is at work."""
    ended: str | None = None
    took_s: float | None = None
    meanwhile: int = 0


class Journal:
    """All requests in the order in which their headers came."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._numbers = itertools.count(1)
        self._under_way = 0
        self.bell = Bell()
        """Rings when a call comes, and when one is over."""

    def begin(self, host: str, route: str, at: float) -> Entry:
        entry = Entry(next(self._numbers), host, route, at)
        entry.request_id = f"{entry.number:032x}"
        entry.meanwhile = self._under_way
        self._under_way += 1
        self._entries.append(entry)
        self.bell.ring()
        return entry

    def work(self, entry: Entry) -> None:
        entry.read = True
        self.bell.ring()

    def end(self, entry: Entry, ended: str, took_s: float) -> None:
        entry.ended, entry.took_s = ended, round(took_s, 6)
        self._under_way -= 1
        self.bell.ring()

    def since(self, number: int, route: str | None) -> list[dict[str, Any]]:
        """Entries after `number`. `route`: a glob."""
        wanted = route or "*"
        return [asdict(e) for e in self._entries[number:] if fnmatch.fnmatchcase(e.route, wanted)]
