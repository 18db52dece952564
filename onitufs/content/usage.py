"""How much of the disk the content files take, without asking the disk about each of them all the time.

What is sealed is added, what is unlinked is taken off again. What earlier runs left is measured once, in the
background, one shard after the other; what happens meanwhile in a shard counts only once that shard was measured.
"""

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import trio

from onitufs.model.ids import ContentId

_PAGE = 4096


def cost(size: int, blocks: int) -> int:
    """Bytes that a file takes: what is allocated (`blocks` of 512 bytes), but not what the disk's file system has only
    set aside for its growth."""
    return min(-(-size // _PAGE) * _PAGE, blocks * 512)


class Usage:
    """Bytes that sealed content takes. Methods are for the loop, unless they say otherwise. `known` once measured."""

    def __init__(self, directory: Path, shard_of: Callable[[int], int]) -> None:
        self.known = False
        self._directory = directory
        self._shard_of = shard_of
        self._bytes = 0
        self.new: set[ContentId] = set()  # made in this run and not sealed yet
        self._unmeasured: set[int] = set()  # shards
        self._measuring = -1
        self._spoiled = False
        self._freed: deque[tuple[ContentId, int]] = deque()  # from the thread that unlinks

    @property
    def bytes(self) -> int:
        self._take_freed()
        return self._bytes

    def made(self, content: ContentId) -> None:
        """A content file was made. Its bytes count from its first seal on."""
        self.new.add(content)

    def sealed(self, content: ContentId, before: int, after: int) -> None:
        """It was sealed; its cost at the seal before (0: none) and now."""
        self.new.discard(content)
        if before != after:
            self._add(content, after - before)

    def unlinked(self, content: ContentId, size: int, blocks: int) -> None:
        """It is about to be unlinked. In any thread."""
        self._freed.append((content, cost(size, blocks)))

    def _take_freed(self) -> None:
        while self._freed:
            content, freed = self._freed.popleft()
            if content in self.new:
                self.new.discard(content)
            else:
                self._add(content, -freed)

    def _add(self, content: int, change: int) -> None:
        shard = self._shard_of(content)
        if shard == self._measuring:
            self._spoiled = True
        elif shard not in self._unmeasured:
            self._bytes += change

    async def measure(self) -> None:
        """Find out what there is, in threads. Cancelled or failed (OSError): it stays unknown."""
        self._take_freed()
        self._bytes = 0
        self._unmeasured = {int(name, 16) for name in os.listdir(self._directory) if name.isalnum()}
        while self._unmeasured:
            self._measuring, self._spoiled = self._unmeasured.pop(), False
            path = self._directory / f"{self._measuring:x}"
            found = await trio.to_thread.run_sync(_measured, path, frozenset(self.new), abandon_on_cancel=True)
            self._take_freed()
            if self._spoiled:
                self._unmeasured.add(self._measuring)
            else:
                self._bytes += found
            self._measuring = -1
        self.known = True


def _measured(shard: Path, without: frozenset[ContentId]) -> int:
    total = 0
    try:
        with os.scandir(shard) as files:
            for file in files:
                try:
                    if ContentId(int(file.name, 16)) not in without:
                        found = file.stat(follow_symlinks=False)
                        total += cost(found.st_size, found.st_blocks)
                except (ValueError, FileNotFoundError):
                    continue
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return total
