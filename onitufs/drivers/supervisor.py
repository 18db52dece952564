"""One entry's life: its session is run, and run again, and whatever goes wrong in it ends here.

Sibling entries and the mount never notice: nothing but cancellation leaves `Supervisor.run`.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator

import trio

from onitufs.model.errors import AnotherPlace, AuthNeeded, DriverError, NeedsPerson, QuotaFull, ServiceError
from onitufs.model.ids import EntryName

from .accounts import SHOWN_S, Gate
from .backoff import Backoff
from .health import Health

log = logging.getLogger(__name__)


class Reconnect(Exception):
    """Raised by a session that wants to see at once whether its entry still is what it was."""


class Supervisor:
    """Runs sessions of an entry, one after the other.

    `session` connects, works, and never returns by itself. Passing trouble: again after a backoff. A person is needed:
    looked at again every few minutes (not with bad credentials: that would lock accounts). A bug: logged whole, and the
    entry stays suspended until `resume`.
    """

    def __init__(
        self, entry: EntryName, session: Callable[[], Awaitable[None]], health: Health, backoff: Backoff, gate: Gate
    ) -> None:
        self._entry = entry
        self._session = session
        self._health = health
        self._backoff = backoff
        self._gate = gate
        self._paused = False
        self._kick = trio.Event()
        self._scope: trio.CancelScope | None = None
        self.failures = 0  # in a row; whoever sees work succeed sets it to 0

    def pause(self) -> None:
        """End the session and start no other one."""
        self._paused = True
        self._health.become("paused")
        if self._scope is not None:
            self._scope.cancel()

    def resume(self) -> None:
        """End a pause, a backoff or a suspension, now."""
        self._paused = False
        self.failures = 0
        if self._health.state == "paused":
            self._health.become("starting")
        self._kick.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._paused:
                self._health.become("paused")
                await self._kicked(None)
                continue
            delay_s: float | None = 0.0
            troubles: list[Exception] = []
            with trio.CancelScope() as self._scope:
                try:
                    await self._session()
                except* Exception as group:  # noqa: BLE001  an entry's troubles and bugs end here
                    troubles = list(_leaves(group))
                    delay_s = self._judge(troubles, group)
            self._scope = None
            if troubles and not self._paused:
                await self._kicked(delay_s)

    async def _kicked(self, within_s: float | None) -> None:
        """Until somebody resumes, or so many seconds have passed."""
        self._kick = trio.Event()
        with trio.move_on_after(float("inf") if within_s is None else within_s):
            await self._kick.wait()

    def _judge(self, troubles: list[Exception], group: BaseException) -> float | None:
        """Tell health of it. Seconds to wait before the next session; None: until somebody resumes."""
        bugs = [exc for exc in troubles if not isinstance(exc, DriverError | Reconnect)]
        if bugs:
            log.error("entry %s is suspended by a bug", self._entry, exc_info=group)
            what = f"{type(bugs[0]).__name__}: {bugs[0]}".splitlines()[0]
            remedy = f"see the log and report it; `onitufs entry resume {self._entry}` tries again"
            self._health.become("suspended", f"a bug stopped this entry: {what}", remedy)
            return None
        worst = min(troubles, key=_gravity)
        if isinstance(worst, Reconnect):
            return 0.0
        self.failures += 1
        limited = getattr(worst, "retry_after_s", None) is not None and self._gate.shut_s >= SHOWN_S
        message, remedy = self._gate.said() if limited else said(worst)
        log.warning("entry %s: %s", self._entry, worst)
        if isinstance(worst, AuthNeeded):
            self._health.become("auth-needed", message, remedy)
            return None
        if isinstance(worst, AnotherPlace):
            remedy += f" If it is lost for good: onitufs entry resume {self._entry} --restore"
        if isinstance(worst, NeedsPerson):
            self._health.become("suspended", message, remedy)
        elif isinstance(worst, QuotaFull):
            self._health.become("full", message, remedy)
        else:
            self._health.become("degraded", message, remedy)
        return self._backoff.delay_s(self.failures, getattr(worst, "retry_after_s", None))


def said(exc: BaseException) -> tuple[str, str]:
    """Reason and remedy of an error: its message up to the last "; ", and what follows."""
    message, mark, remedy = str(exc).rpartition("; ")
    if mark:
        return message, remedy
    if isinstance(exc, ServiceError):
        return str(exc), "nothing to do: it is tried again by itself"
    return str(exc) or type(exc).__name__, ""


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _leaves(exc)
        else:
            yield exc


def _gravity(exc: Exception) -> int:
    order = (AuthNeeded, NeedsPerson, QuotaFull, DriverError, Reconnect)
    return next(number for number, kind in enumerate(order) if isinstance(exc, kind))
