"""Calls to a driver's handlers: the async ones on the loop, the plain ones in the entry's own threads."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar, TypeVarTuple

import trio

from onitufs.model.errors import DriverError, ServiceError

from .accounts import Gate

_BRINGING: dict[str, Callable[[Any], int]] = {
    "get_chunk": len,
    "read_many": lambda answers: sum(len(data) for data in answers if isinstance(data, bytes)),
}
"""Handlers that answer with bytes of files, and how many those are."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Runner(Protocol):
    """Where blocking calls are made. An argument of what needs threads, so that simulated time can do without."""

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """The call's answer. Cancelled: still waits for the call to end, so nothing is changed behind our back."""
        ...

    async def look(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """As `run`, for a call that changes nothing: cancelled, it is left to end by itself, however long it hangs."""
        ...

    def check_cancelled(self) -> None:
        """In a call that `run` makes: raises if it is no longer wanted. On the loop: nothing, awaiting is for that."""
        ...

    def rest(self, until: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """In a call that `run` makes: wait as `until` does; raises if the call is no longer wanted. On the loop:
        nothing, for the same reason."""
        ...


class Threads:
    """A Runner over one entry's threads: when its service hangs, no other entry is short of any."""

    def __init__(self, limit: int) -> None:
        self._limiter = trio.CapacityLimiter(limit)

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        return await trio.to_thread.run_sync(call, *args, limiter=self._limiter)

    async def look(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        return await trio.to_thread.run_sync(call, *args, limiter=self._limiter, abandon_on_cancel=True)

    def check_cancelled(self) -> None:
        if not trio.lowlevel.in_trio_run():
            trio.from_thread.check_cancelled()

    def rest(self, until: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        if not trio.lowlevel.in_trio_run():
            trio.from_thread.run(until, *args)


class Inline:
    """A Runner that makes each call on the loop. For simulated time only, where a thread would not be waited for."""

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        await trio.lowlevel.checkpoint()
        return call(*args)

    look = run

    def check_cancelled(self) -> None:
        pass

    def rest(self, until: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        pass


class Handlers:
    """One driver object as the Plug sees it: handlers by name. `gate`: what calls wait at; None: at nothing."""

    def __init__(self, driver: Any, runner: Runner, gate: Gate | None = None) -> None:
        self._driver = driver
        self._gate = gate
        self.runner = runner

    def has(self, name: str) -> bool:
        return callable(getattr(self._driver, name, None))

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute that the driver tells something by."""
        return getattr(self._driver, name, default)

    def by(self, runner: Runner) -> "Handlers":
        """The same driver object, its plain handlers called by another runner."""
        return Handlers(self._driver, runner, self._gate)

    async def call(self, name: str, *args: Any) -> Any:
        """Whatever the handler answers or raises."""
        return await self._through_gate(self.runner.run, name, args)

    async def look(self, name: str, *args: Any) -> Any:
        """As `call`, of a handler that changes nothing and may be left behind when nobody waits for it any more."""
        return await self._through_gate(self.runner.look, name, args)

    async def look_each(self, name: str, arguments: Sequence[Any]) -> list[Any]:
        """As `look` for each of the arguments: its answer, or the DriverError that it raises."""
        answers: list[Any] = []
        for argument in arguments:
            try:
                answers.append(await self.look(name, argument))
            except DriverError as exc:
                answers.append(exc)
        return answers

    async def _through_gate(self, run: Callable[..., Any], name: str, args: tuple[Any, ...]) -> Any:
        gate = self._gate if name != "close" else None
        if gate is not None:
            await gate.turn()
            if name in _BRINGING:
                await gate.down.turn()
        handler = getattr(self._driver, name)
        try:
            answer = await (handler(*args) if inspect.iscoroutinefunction(handler) else run(handler, *args))
            if gate is not None and name in _BRINGING:
                gate.down.take(_BRINGING[name](answer))
            return answer
        except ServiceError as exc:
            if gate is not None and exc.retry_after_s is not None:
                gate.obey(exc.retry_after_s)
            raise
