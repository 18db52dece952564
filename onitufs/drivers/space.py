"""How much still fits on an entry, for people: asked now and then, and when something did not fit."""

import logging

import trio

from onitufs.model.errors import DriverError
from onitufs.model.ids import EntryName

from .calling import Handlers

log = logging.getLogger(__name__)

EVERY_S = 600.0


class Space:
    """Of one entry. `free`, `total`: bytes; None where nobody has said."""

    def __init__(self) -> None:
        self.free: int | None = None
        self.total: int | None = None
        self._wanted = trio.Event()

    def ask_again(self) -> None:
        """It is not what it was."""
        self._wanted.set()

    async def follow(self, entry: EntryName, handlers: Handlers) -> None:
        """Ask for it until cancelled. Raises nothing but bugs."""
        while True:
            self._wanted = trio.Event()
            try:
                self.free, self.total = await handlers.look("free_space")
            except DriverError as exc:
                self.free = self.total = None
                log.info("entry %s does not say what is free: %s", entry, exc)
            with trio.move_on_after(EVERY_S):
                await self._wanted.wait()
