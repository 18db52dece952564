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
        self._making_at: dict[RemotePath, tuple[FileId, Ticket]] = {}
        self._making: dict[FileId, tuple[RemotePath, Ticket]] = {}
        self._intents: dict[FileId, Ticket] = {}

    def in_the_way(
        self,
        ticket: Ticket,
        paths: Sequence[tuple[RemotePath, bool]],
        making: Sequence[tuple[FileId, RemotePath]],
        *,
        heed_intents: bool,
    ) -> Ticket | None:
        """What has to end before work may begin under `ticket`, which may be that itself. `paths`, `making`: as
        Performer.touches tells them."""
        blocker = self._claims.in_the_way(paths, heed_intents=heed_intents)
        for directory, path in making if blocker is None else ():
            there, holder_there = self._making_at.get(path, (directory, ticket))
            at, holder = self._making.get(directory, (path, ticket))
            if (there, holder_there) != (directory, ticket):
                return holder_there
            if (at, holder) != (path, ticket):
                return holder
        return blocker

    def admit(
        self, ticket: Ticket, paths: Sequence[tuple[RemotePath, bool]], making: Sequence[tuple[FileId, RemotePath]]
    ) -> None:
        """Let it in. Nothing is in its way."""
        self._claims.take(ticket, paths)
        for directory, path in making:
            self._making_at[path] = directory, ticket
            self._making[directory] = path, ticket

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
        for directory, path in [(file, path) for file, (path, holder) in self._making.items() if holder is ticket]:
            del self._making[directory], self._making_at[path]
        return self._claims.release(ticket)
