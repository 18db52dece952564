"""Making a driver object, and letting go of it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from onitufs.model.ids import EntryName

from .accounts import Gate
from .calling import Handlers, Runner
from .handlers import Gear
from .registry import ManifestedDriver

CLOSING_S = 10.0


class Opener:
    """Makes the driver objects of one entry."""

    def __init__(
        self,
        entry: EntryName,
        driver: ManifestedDriver,
        options: Any,
        *,
        work_dir: Path,
        runner: Runner,
        hint: Callable[[str, str], None],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._entry = entry
        self._driver = driver
        self._options = options
        self._work_dir = work_dir
        self._runner = runner
        self._hint = hint
        self._now_s = now_s

    async def open(self, identity: str | None, gate: Gate) -> Handlers:
        """A driver object that is not connected, whose calls pass the gate.

        `identity`: of the place that it is to find, None if it never did.
        """
        self._hint("", "")
        kind = await self._runner.run(self._driver.load)
        gear = Gear(
            entry=self._entry,
            identity=identity,
            work_dir=self._work_dir,
            now_s=self._now_s,
            check_cancelled=self._runner.check_cancelled,
            run=self._runner.run,
            hint=self._hint,
        )
        return Handlers(kind(self._options, gear), self._runner, gate)

    async def close(self, handlers: Handlers) -> None:
        """Have it let go of everything, also if the work was cancelled."""
        with trio.move_on_after(CLOSING_S, shield=True):
            await handlers.call("close")
