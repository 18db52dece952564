"""Which work is let in, so that no two pieces of it meet on the service, and what waits for what."""

from collections.abc import Sequence

from onitufs.model.ids import FileId

from .claims import Claims, Ticket
from .handlers import RemotePath


class Admission:
    """Claims of what runs; directories that are being made; intents of directory moves and deletes that still wait.

    An intent holds up what comes later below its path, or the turn of a busy directory might never come.
    """

    def __init__(self) -> None:
        self._claims = Claims()
        self._making: dict[RemotePath | FileId, Ticket] = {}
        self._intents: dict[FileId, Ticket] = {}

    def in_the_way(
        self,
        ticket: Ticket,
        paths: Sequence[tuple[RemotePath, bool]],
        making: Sequence[RemotePath | FileId],
        *,
        heed_intents: bool,
    ) -> Ticket | None:
        """What has to end before work may begin under `ticket`. `paths`, `making`: as Performer.touches tells them."""
        blocker = self._claims.in_the_way(paths, heed_intents=heed_intents)
        if blocker is None:
            others = (self._making.get(key) for key in making)
            blocker = next((other for other in others if other is not None and other is not ticket), None)
        return blocker

    def admit(
        self, ticket: Ticket, paths: Sequence[tuple[RemotePath, bool]], making: Sequence[RemotePath | FileId]
    ) -> None:
        """Let it in. Nothing is in its way."""
        self._claims.take(ticket, paths)
        for key in making:
            self._making.setdefault(key, ticket)

    def intend(self, file: FileId, paths: Sequence[tuple[RemotePath, bool]]) -> None:
        """Something is in the way of a file's order; hold up what would come to be in its way later."""
        self._intents[file] = intent = Ticket(intent=True)
        self._claims.take(intent, paths)

    def drop_intent(self, file: FileId) -> list[object]:
        """The intent of a file's order, if any, is over; what waited for it."""
        intent = self._intents.pop(file, None)
        return [] if intent is None else self.release(intent)

    def release(self, ticket: Ticket) -> list[object]:
        """Its work has ended; what waited for it."""
        for key in [key for key, holder in self._making.items() if holder is ticket]:
            del self._making[key]
        return self._claims.release(ticket)
