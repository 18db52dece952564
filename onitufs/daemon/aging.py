"""Lets history go in time, and makes it follow the setup."""

import logging

import trio

from onitufs.drivers.progress import Pace
from onitufs.model.globs import GlobList
from onitufs.setup import Setup
from onitufs.volume import Volume

LOOK_EVERY_S = 5.0
SLICE = 100  # versions let go of by one record: about 1 ms

log = logging.getLogger(__name__)


def follow(setup: Setup, volume: Volume) -> None:
    """What is kept from now on, and for how long."""
    never = GlobList(setup.never)

    def fleeting(path: bytes) -> bool:
        return never.find(path.decode(errors="surrogateescape"), is_directory=False) is not None

    history = volume.history
    history.keep_s, history.most_bytes, history.fleeting = setup.history_s, setup.history_bytes, fleeting


async def let_go_in_time(volume: Volume, pace: Pace) -> None:
    """Runs until cancelled."""
    while True:
        try:
            began_s = trio.current_time()
            while volume.expire(limit=SLICE):
                await trio.sleep(pace(trio.current_time() - began_s))
                began_s = trio.current_time()
        except OSError:
            log.exception("history cannot be let go of yet")
        await trio.sleep(LOOK_EVERY_S)
