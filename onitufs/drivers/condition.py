"""What is known of how an entry does: trouble, limits, a full service, a person's word; what that means for work."""

from collections.abc import Callable

import trio

from onitufs.model.errors import AuthNeeded, DriverError, NeedsPerson, ServiceError
from onitufs.model.ids import FileId

from .accounts import SHOWN_S, Gate
from .backoff import Backoff
from .health import Health
from .lanes import Lanes
from .supervisor import Reconnect, Supervisor, said


class Condition:
    """One entry's. `woke`: called when dispatch is to look again. Plain methods, for the loop only."""

    def __init__(
        self,
        health: Health,
        lanes: Lanes,
        gate: Gate,
        backoff: Backoff,
        supervisor: Supervisor,
        woke: Callable[[], None],
    ) -> None:
        self._health = health
        self._lanes = lanes
        self._gate = gate
        self._backoff = backoff
        self._supervisor = supervisor
        self._woke = woke
        self.suspension: tuple[str, str] | None = None
        self._bug: Exception | None = None
        self._trouble: Exception | None = None
        self._trouble_until = 0.0
        self._limited = False
        self._too_big: set[FileId] = set()  # files that found the service full, and are tried again

    # -- what happens --------------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """A session begins to work."""
        self._trouble = self._bug = None
        if self.suspension is not None:
            self._health.become("suspended", *self.suspension)
        elif self._supervisor.failures > 0:
            self._lanes.probe()
        else:
            self._health.become("up")

    def well(self) -> None:
        """The entry does its work."""
        self._lanes.probing = False
        self._supervisor.failures = 0
        quiet = self._trouble is None and self.suspension is None and not self._limited
        if quiet and self._lanes.full_until is None and not self._too_big:
            self._health.become("up")

    def troubled(self, exc: DriverError) -> None:
        """Something keeps the entry from answering: no new work is begun until that is known to be over."""
        if isinstance(exc, ServiceError) and exc.retry_after_s is not None:  # it does answer: it wants to be left alone
            self._gate.obey(exc.retry_after_s)
            self._lanes.probe()
            self._woke()
            return
        # An entry that needs a person says so when it is connected again; else it was this file's trouble alone.
        only_file = isinstance(exc, NeedsPerson) and not isinstance(exc, AuthNeeded)
        self._trouble = Reconnect() if only_file else exc
        self._trouble_until = trio.current_time() + self._backoff.delay_s(self._supervisor.failures + 1)
        if not only_file:
            self._health.become("auth-needed" if isinstance(exc, AuthNeeded) else "degraded", *said(exc))
        self._woke()

    def broken(self, exc: Exception) -> None:
        """A bug, seen by who looks: it ends the session."""
        self._bug = exc
        self._woke()

    def full(self, file: FileId, until: float, problem: tuple[str, str]) -> None:
        """A file found the service full. It is tried again at `until`."""
        self._lanes.full_until = until
        self._too_big.add(file)
        self._health.become("full", *problem)

    def fits_now(self, file: FileId) -> None:
        """A file that found the service full is placed, or wanted no more."""
        self._too_big.discard(file)

    def suspend(self, message: str, remedy: str) -> None:
        """A person is asked something: nothing is begun until `resume`."""
        self.suspension = message, remedy
        if self._health.state != "paused":
            self._health.become("suspended", message, remedy)

    def resume(self, *, is_connected: bool) -> None:
        """A person wants all of it tried at once."""
        self._trouble, self._lanes.full_until = None, None
        self._gate.open()
        if self.suspension is not None:
            self.suspension = None
            self._health.become("up" if is_connected else "starting")

    # -- what it means for dispatch ------------------------------------------------------------------------------------

    def held_until(self, *, anything_runs: bool) -> float | None:
        """Until when nothing may be begun; None: now. Raises what ends the session."""
        if self._bug is not None:
            raise self._bug
        now = trio.current_time()
        if self._trouble is not None:
            if not anything_runs:
                raise self._trouble
            if isinstance(self._trouble, AuthNeeded):
                return float("inf")  # what runs may still end; trying more might lock the account
            if now < self._trouble_until:
                return self._trouble_until
            self._trouble = None  # what runs still runs: the service may be back
            self._lanes.probe()
        if self._gate.shut_s > 0:
            self._hold_back()
            return self._gate.until
        if self._limited:
            self._limited = False
            self._lanes.probe()
        return float("inf") if self.suspension is not None else None

    def _hold_back(self) -> None:
        """The account must not be used for now."""
        if self._limited or self._gate.shut_s >= SHOWN_S:
            self._limited = True
            if self._health.state in ("up", "starting", "degraded"):
                self._health.become("degraded", *self._gate.said())
