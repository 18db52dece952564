"""Removes content files that no record names: what was created, or let go of, just before a crash."""

import logging
from array import array
from bisect import bisect_left

import trio

from onitufs.catalog import keys
from onitufs.catalog.records import unpack_inode
from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.model.ids import ContentId, Seq

log = logging.getLogger(__name__)


async def remove_strays(catalog: Catalog, content: ContentStore, born_before: Seq) -> int:
    """Look through everything once, in small steps. Returns how many were removed.

    `born_before`: the first seq of this run; later content is not looked at. Memory: 8 bytes for each file. Cancelled:
    what remains is found at the next start.
    """
    on_disk = await trio.to_thread.run_sync(lambda: array("Q", sorted(content.ids())), abandon_on_cancel=True)
    named = array("Q")
    # History twice: bytes may be brought back, or end, while the inodes are gone through.
    for table in (keys.HISTORY, keys.INODE, keys.HISTORY):
        after = b""
        while rows := catalog.scan(table, after, 200):
            if table == keys.INODE:
                named.extend(unpack_inode(value).content for _, value in rows)
            else:
                named.extend(keys.number(key, 10) for key, _ in rows)
            after = rows[-1][0]
            await trio.lowlevel.checkpoint()
    named = array("Q", sorted(named))
    removed = 0
    for number in on_disk:
        at = bisect_left(named, number)
        if number >= born_before or (at < len(named) and named[at] == number):
            continue
        content.let_go(ContentId(number), Seq(catalog.next_seq - 1))
        removed += 1
        if removed % 200 == 0:
            await trio.lowlevel.checkpoint()
    if removed:
        log.info("removed content that nothing names", extra={"files": removed})
        catalog.request_barrier()  # unlinking follows it
    return removed
