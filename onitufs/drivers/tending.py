"""A driver's chores, beside its work."""

import logging

import trio

from onitufs.model.errors import DriverError
from onitufs.model.ids import EntryName

from .calling import Handlers

log = logging.getLogger(__name__)

DAY_S = 86400.0


async def tend(entry: EntryName, handlers: Handlers) -> None:
    """Have it do its upkeep, now and once a day, until cancelled. Raises nothing but bugs."""
    while True:
        more = False
        try:
            more = await handlers.call("tend")
        except DriverError as exc:  # no work was hindered, and that will find out for itself
            log.warning("entry %s: upkeep failed: %s", entry, exc)
        await trio.sleep(1.0 if more else DAY_S)
