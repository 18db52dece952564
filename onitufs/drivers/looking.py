"""Looking at what an entry holds, beside its work."""

import trio

from onitufs.model.copies import RemoteState
from onitufs.model.errors import Conflict, Gone
from onitufs.model.files import Kind

from .calling import Handlers
from .handlers import Found, RemotePath


class Lookers:
    """Those who look, in one session: ended before it ends, so that nothing is closed under their hands."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._running: dict[trio.CancelScope, trio.Event] = {}

    async def look(self, path: RemotePath, kind: Kind) -> tuple[bool, Found | None]:
        """Whether the session lasted, and what stands at a path: see Plug.digest."""
        with trio.CancelScope() as scope:
            self._running[scope] = trio.Event()
            try:
                return True, await self._look(path, kind)
            finally:
                self._running.pop(scope).set()
        return False, None

    async def _look(self, path: RemotePath, kind: Kind) -> Found | None:
        found: Found | None = await self._handlers.call("stat", path)
        if found is None or found.kind is not kind:
            return None
        if kind is Kind.FILE and self._handlers.has("digest"):
            try:
                digest = await self._handlers.call("digest", path)
            except (Gone, Conflict):
                return None
            state = RemoteState(rev=found.state.rev, remote_id=found.state.remote_id, digest=digest)
            found = Found(kind=kind, size=found.size, mtime_ns=found.mtime_ns, state=state)
        return found

    async def end(self) -> None:
        """Cancel them all, and wait until they are through."""
        ends = list(self._running.values())
        for scope in self._running:
            scope.cancel()
        with trio.CancelScope(shield=True):
            for end in ends:
                await end.wait()
