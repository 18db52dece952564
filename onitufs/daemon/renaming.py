"""An entry that got another name: what is known of the old name becomes what is known of the new one."""

import logging
from dataclasses import replace

from onitufs.catalog import keys
from onitufs.catalog.store import Catalog
from onitufs.model.ids import EntryName
from onitufs.volume.placements import Placements
from onitufs.volume.tree import Changes

SLICE = 50  # Copies that are rewritten before other tasks get a turn

log = logging.getLogger(__name__)


async def rename_entry(catalog: Catalog, placements: Placements, old: EntryName, new: EntryName) -> None:
    """Nothing may be ordered of either meanwhile. Interrupted, it goes on when it is called again. Raises OSError."""
    while rows := placements.on(old, limit=SLICE):
        changes: Changes = {key: None for key, _ in rows}
        copies = [copy for _, file in rows if (copy := placements.get(file, old)) is not None]
        placements.write(changes, removed=copies, put=[replace(copy, entry=new) for copy in copies])
        catalog.commit(changes)
        await catalog.room()
    prefix, length = keys.intents(old), len(keys.intents(old))
    while intents := catalog.scan(prefix, limit=SLICE):
        changes = {key: None for key, _ in intents}
        changes |= {keys.intents(new) + key[length:]: value for key, value in intents}
        catalog.commit(changes)
        await catalog.room()
    changes = {}
    for key, value in catalog.scan(keys.META, limit=100_000):  # its identity comes last: by it the rest is found again
        what, _, whose = key.partition(b":")  # a name may have more of these
        if whose == old.encode():
            changes |= {key: None, what + b":" + new.encode(): value}
    catalog.commit(changes)
    log.info("an entry has another name", extra={"entry": new, "before": old})
