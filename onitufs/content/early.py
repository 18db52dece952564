"""Has the disk write large files while programs still write them, so that little is left for the sync that counts.

It makes nothing durable: it only begins.
"""

import os
from collections.abc import Callable
from contextlib import suppress

import trio

from onitufs.model.ids import ContentId
from onitufs.model.writeback import begin_write

EARLY_BYTES = 16 << 20
"""Each time so many bytes of a file were written, the disk begins with them. Most files never come to that."""


class EarlyWriting:
    """`open_content` gives a descriptor of a content file, or raises OSError."""

    def __init__(self, open_content: Callable[[ContentId], int]) -> None:
        self._open = open_content
        self._asked: dict[ContentId, None] = {}
        self._wake = trio.Event()
        self._limiter = trio.CapacityLimiter(1)

    def ask(self, content: ContentId) -> None:
        """Much was written to this file."""
        self._asked[content] = None
        self._wake.set()

    async def run(self) -> None:
        """Begin writing what is asked, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._asked:
                content = next(iter(self._asked))
                del self._asked[content]
                with suppress(OSError):  # it was removed meanwhile
                    await trio.to_thread.run_sync(self._begin, content, limiter=self._limiter)

    def _begin(self, content: ContentId) -> None:
        fd = self._open(content)
        try:
            begin_write(fd)
        finally:
            os.close(fd)
