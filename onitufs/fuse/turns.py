"""Whose turn it is to read the next request, decided at less cost than pyfuse3 does.

pyfuse3 hands a trio.Lock to the next idle task before each request is answered: two task switches and six system calls
a request, about half of what a lookup costs. Here the task that has just answered reads on if a request is there
already; another one takes over only when a handler really waits. Measured: a lookup went from 63 us to 26 us.

pyfuse3 keeps the async library in a module global, which its asyncio mode replaces too; this does the same. Should a
later pyfuse3 not look there any more, all that is lost is the speed (and a test says so).
"""

import contextlib
import select
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import pyfuse3
import trio

IN_A_ROW = 8  # requests answered before other tasks of the daemon get their turn
IDLE_TASKS = 8  # kept for when handlers wait; starting one anew costs more than a lookup


class Turns(trio.abc.Instrument):
    """The lock that pyfuse3 holds while it waits for a request, as an instrument that sees when its holder is stuck.

    Leaving the lock wakes nobody. If the task comes back before it waits for anything, it has the lock again; if a
    step of some task ends with the lock free, the first that waits for it gets it.
    """

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[trio.lowlevel.Task] = deque()
        self._poll = select.poll()
        self._polled = -1
        self._in_a_row = 0
        self.taken = 0  # how often a request was read without waiting
        self.read_s = 0.0  # monotonic; when a request was last read

    async def __aenter__(self) -> None:
        if not self._held:
            self._held = True
            return
        task = trio.lowlevel.current_task()
        self._waiting.append(task)

        def give_up(_: object) -> trio.lowlevel.Abort:
            self._waiting.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(give_up)

    async def __aexit__(self, *error: object) -> None:
        self._held = False

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._waiting and not self._held:
            self._held = True
            trio.lowlevel.reschedule(self._waiting.popleft())

    async def wait_readable(self, fd: int) -> None:
        """As trio's, but returns at once if there is something to read, up to IN_A_ROW times."""
        if self._polled != fd:
            self._poll.register(fd, select.POLLIN)
            self._polled = fd
        if self._in_a_row < IN_A_ROW and self._poll.poll(0):
            self._in_a_row += 1
            self.taken += 1
            self.read_s = time.monotonic()
            return
        self._in_a_row = 0
        await trio.lowlevel.wait_readable(fd)
        self.read_s = time.monotonic()


class _Lowlevel:
    def __init__(self, turns: Turns) -> None:
        self.wait_readable = turns.wait_readable

    def __getattr__(self, name: str) -> Any:
        return getattr(trio.lowlevel, name)


class _Trio:
    """trio, but for what a Turns does otherwise."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.lowlevel = _Lowlevel(turns)

    def Lock(self) -> Turns:  # noqa: N802  trio's name
        return self._turns

    def __getattr__(self, name: str) -> Any:
        return getattr(trio, name)


@contextlib.contextmanager
def frugal_turns() -> Iterator[Turns]:
    """While pyfuse3.main runs inside, it takes turns this way."""
    turns = Turns()
    trio.lowlevel.add_instrument(turns)
    pyfuse3.trio = _Trio(turns)  # type: ignore[attr-defined]
    try:
        yield turns
    finally:
        pyfuse3.trio = trio  # type: ignore[attr-defined]
        trio.lowlevel.remove_instrument(turns)
