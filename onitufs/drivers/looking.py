"""Those who look at an entry, or read from it, in one session."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from onitufs.model.errors import AuthNeeded, DriverError, NeedsPerson, ServiceError

from .calling import Handlers

T = TypeVar("T")


class SessionEnded(Exception):
    """The session ended before the answer was there."""


class Passing(Exception):
    """Carries an error of a caller's own through a driver, which is not to be blamed for it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Lookers:
    """Who looks in one session: ended before it ends, so that nothing is closed under their hands.

    `trouble` is told what keeps the whole entry from answering; `bug` what a driver may not raise.
    """

    def __init__(
        self, handlers: Handlers, trouble: Callable[[DriverError], None], bug: Callable[[Exception], None]
    ) -> None:
        self.handlers = handlers
        self._trouble = trouble
        self._bug = bug
        self._running: dict[trio.CancelScope, trio.Event] = {}
        self._ended = False

    async def run(self, look: Callable[[], Awaitable[T]]) -> T:
        """What it answers. Raises DriverError, SessionEnded, and what came as Passing."""
        if self._ended:
            raise SessionEnded
        with trio.CancelScope() as scope:
            self._running[scope] = trio.Event()
            try:
                return await self._judged(look)
            finally:
                self._running.pop(scope).set()
        raise SessionEnded

    async def _judged(self, look: Callable[[], Awaitable[T]]) -> T:
        try:
            return await look()
        except DriverError as exc:
            if isinstance(exc, AuthNeeded):
                self._trouble(exc)
            elif isinstance(exc, ServiceError | NeedsPerson):
                await self._check()
            raise
        except Passing as exc:
            raise exc.error from None
        except Exception as exc:
            self._bug(exc)
            raise ServiceError(f"its driver has a bug: {type(exc).__name__}") from exc

    async def _check(self) -> None:
        """See whether it is the whole entry that is in trouble, or one file alone."""
        try:
            await self.handlers.look("stat", ())
        except DriverError as exc:
            self._trouble(exc)
        except Exception as exc:  # noqa: BLE001
            self._bug(exc)

    async def end(self) -> None:
        """Cancel them all, and wait until they are through."""
        self._ended = True
        ends = list(self._running.values())
        for scope in self._running:
            scope.cancel()
        with trio.CancelScope(shield=True):
            for end in ends:
                await end.wait()
