"""D5: what one program writes without fsync is not left for another program's fsync to wait for."""

import pytest
import trio

from onitufs.catalog import store
from onitufs.volume import volume

from .conftest import Life


async def test_much_is_made_durable_at_once(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when the next background barrier is due."""
    monkeypatch.setattr(store, "BARRIER_EVERY_S", 3600)
    monkeypatch.setattr(volume, "UNDURABLE_BYTES", 100_000)
    async with trio.open_nursery() as nursery:
        await nursery.start(life.catalog.run)
        durable = trio.Event()
        life.catalog.on_durable = lambda seq: durable.set()
        life.make(b"small", b"x" * 1000)
        life.make(b"large", b"x" * 200_000)
        await durable.wait()
        assert life.content.undurable_bytes == 0
        nursery.cancel_scope.cancel()
