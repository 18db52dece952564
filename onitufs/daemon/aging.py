"""Lets history go in time, and when room gets short; makes it and the quota follow the setup."""

import logging

import trio

from onitufs.drivers.progress import Pace, rest
from onitufs.model.globs import GlobList
from onitufs.model.ids import Seq
from onitufs.setup import Setup
from onitufs.volume import Volume

LOOK_EVERY_S = 1.0
SLICE = 100  # versions let go of by one record: about 1 ms

log = logging.getLogger(__name__)


def follow(setup: Setup, volume: Volume) -> None:
    """What is kept from now on, and for how long."""
    never = GlobList(setup.never)

    def fleeting(path: bytes) -> bool:
        return never.find(path.decode(errors="surrogateescape"), is_directory=False) is not None

    volume.space.quota = setup.quota
    volume.space.forget()
    history = volume.history
    history.keep_s, history.most_bytes, history.fleeting = setup.history_s, setup.history_bytes, fleeting


async def let_go_in_time(volume: Volume, pace: Pace) -> None:
    """Runs until cancelled."""
    while True:
        try:
            if volume.space.quota is not None and not volume.content.usage.known:
                await volume.content.usage.measure()
                volume.space.forget()
            await _make_room(volume)
            began_s = trio.current_time()
            while volume.expire(limit=SLICE):
                await rest(pace, trio.current_time() - began_s)
                began_s = trio.current_time()
        except OSError:
            log.exception("history cannot be let go of yet")
        await trio.sleep(LOOK_EVERY_S)


async def _make_room(volume: Volume) -> None:
    """Let history go for what programs will write next."""
    while (lacking := volume.space.lacking()) and volume.expire(free=lacking, limit=SLICE):
        await unlinked(volume)


async def unlinked(volume: Volume) -> None:
    """Return when what was let go of so far is off the disk. Raises OSError."""
    await volume.catalog.barrier(Seq(volume.catalog.next_seq - 1))
    await volume.catalog.collect()
    volume.space.forget()
