"""Work that many callers share: one run at a time, and a run serves all who asked before it began."""

from collections.abc import Awaitable, Callable

import trio


class _Round:
    __slots__ = ("done", "error", "reached")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.reached: int | None = None  # None until it ended: with an error, this is how far it wanted to get
        self.error: OSError | None = None


class Rounds:
    """`join(n)` returns once a run reached n. The first to ask runs it; the others wait for that run or the next."""

    def __init__(self, aim: Callable[[], int], work: Callable[[int], Awaitable[None]]) -> None:
        """`aim()` says how far a run that begins now will get; `work(aim)` gets there, or raises OSError."""
        self._aim = aim
        self._work = work
        self._current: _Round | None = None

    async def join(self, number: int, *, fresh: bool = False) -> None:
        """Raises what the run that should have reached `number` raised, to each of its callers.

        `fresh`: a run that has begun already does not count. Cancelled: the run in progress, if it is ours, is finished
        first by its thread; others are then served anew.
        """
        while True:
            current = self._current
            if current is None:
                current = await self._run()
            else:
                await current.done.wait()
                if fresh:
                    fresh = False
                    continue
            if current.reached is not None and current.reached >= number:
                if current.error is not None:
                    raise OSError(current.error.errno, current.error.strerror) from current.error
                return

    async def _run(self) -> _Round:
        current = self._current = _Round()
        aim = self._aim()
        try:
            await self._work(aim)
        except OSError as exc:
            current.error = exc
            current.reached = aim
        else:
            current.reached = aim
        finally:
            self._current = None
            current.done.set()
        return current
