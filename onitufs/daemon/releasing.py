"""`plan --apply`: what was found on entries where the rules do not want it loses the privilege to stay.

From then on such a Copy is like one that we placed: the Referee has it taken away, by way of trash, once the entries
that are to hold the file hold it. Worked off in slices; where it stopped is in the catalog.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import trio

from onitufs.catalog import keys
from onitufs.catalog.records import pack_value, unpack_copy, unpack_value
from onitufs.drivers.progress import rest
from onitufs.model.copies import Copy
from onitufs.referee.reconcile import required_entries
from onitufs.volume.tree import Changes

from .placing import Placing
from .planning import SLICE, Ahead, Outlook

log = logging.getLogger(__name__)

_KEY = keys.meta("releasing")


def begin(changes: Changes) -> None:
    """Add to `changes` that every Copy is to be looked at."""
    changes[_KEY] = pack_value(b"")


async def work_off(placing: Placing, outlook: Callable[[], Outlook]) -> None:
    """Release what is left to be looked at; nothing if there is nothing. Raises OSError."""
    catalog = placing.volume.catalog
    released = 0
    while (mark := catalog.get(_KEY)) is not None:
        began_s = trio.current_time()
        ahead = Ahead(placing, outlook())  # the rules may have changed since the last slice
        rows = catalog.scan(keys.COPY, unpack_value(mark), SLICE)
        changes: Changes = {_KEY: pack_value(rows[-1][0]) if rows else None}
        freed = [
            copy for _, value in rows if (copy := unpack_copy(value)).found and not _required(ahead, placing, copy)
        ]
        for copy in freed:
            placing.placements.write(changes, put=(replace(copy, found=False),))
            placing.volume.mark(changes, copy.file, "rules")
        catalog.commit(changes)
        for copy in freed:
            placing.ask(copy.file)
        released += len(freed)
        await catalog.room()
        await rest(placing.pace, trio.current_time() - began_s)
    if released:
        log.info("what was found where the rules do not want it is taken away", extra={"copies": released})


def _required(ahead: Ahead, placing: Placing, copy: Copy) -> bool:
    """Whether the entry is to hold the file by the rules; what is dead or not ours is left as it is."""
    name = placing.volume.name(copy.file)
    if name is None or not name.alive:
        return True
    state = ahead.state(copy.file, name)
    view = state.views.get(copy.entry)
    return view is None or not view.ours or copy.entry in required_entries(state)
