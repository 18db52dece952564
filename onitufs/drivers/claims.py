"""Which remote paths are being worked on, so that a directory's rename never races with a put below it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from .handlers import RemotePath


class Ticket:
    """What one piece of work holds. `waiting`: work that found this in its way, to be tried when it is released.

    `intent`: held by work that still waits. Intents are not in each other's way, so nobody waits in a circle.
    """

    __slots__ = ("claims", "intent", "waiting")

    def __init__(self, *, intent: bool = False) -> None:
        self.intent = intent
        self.claims: list[tuple[RemotePath, bool]] = []
        self.waiting: list[object] = []


class Claims:
    """Claims on remote paths. Two conflict if one path is the other or an ancestor of it.

    Except a shared claim (making a directory, giving it attributes), which allows work below its path and other shared
    claims on it, but no exclusive one at or above it. Each call costs the depth of the paths, whatever is claimed.
    """

    def __init__(self) -> None:
        self._at: dict[RemotePath, dict[Ticket, bool]] = {}
        self._below: defaultdict[RemotePath, dict[Ticket, int]] = defaultdict(dict)

    def in_the_way(self, paths: Iterable[tuple[RemotePath, bool]], *, heed_intents: bool = True) -> Ticket | None:
        """A ticket that conflicts with claims on these (path, shared), if any."""
        for path, shared in paths:
            for ticket in self._conflicting(path, shared):
                if heed_intents or not ticket.intent:
                    return ticket
        return None

    def _conflicting(self, path: RemotePath, shared: bool) -> Iterator[Ticket]:
        for depth in range(len(path)):
            for ticket, other_shared in self._at.get(path[:depth], {}).items():
                if not other_shared:
                    yield ticket
        for ticket, other_shared in self._at.get(path, {}).items():
            if not (shared and other_shared):
                yield ticket
        if not shared and path in self._below:
            yield from self._below[path]

    def take(self, ticket: Ticket, paths: Iterable[tuple[RemotePath, bool]]) -> None:
        """Claim for a ticket. The caller asked `in_the_way` first."""
        for path, shared in paths:
            here = self._at.setdefault(path, {})
            here[ticket] = here.get(ticket, True) and shared
            ticket.claims.append((path, shared))
            for depth in range(len(path)):
                above = self._below[path[:depth]]
                above[ticket] = above.get(ticket, 0) + 1

    def release(self, ticket: Ticket) -> list[object]:
        """Let go of everything that the ticket holds; what waited for it is returned, once."""
        for path, _ in ticket.claims:
            here = self._at.get(path)
            if here is not None:
                here.pop(ticket, None)
                if not here:
                    del self._at[path]
            for depth in range(len(path)):
                above = self._below[path[:depth]]
                above[ticket] -= 1
                if not above[ticket]:
                    del above[ticket]
                    if not above:
                        del self._below[path[:depth]]
        ticket.claims.clear()
        waiting, ticket.waiting = ticket.waiting, []
        return waiting
