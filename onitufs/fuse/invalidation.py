"""Telling the kernel that a name stands for something else now.

Only ever by name (invalidate_entry), and only from this module's thread. With the write-back cache, invalidating an
inode's data deadlocks for good while it has dirty pages; invalidate_entry waits in the kernel for calls under way in
that directory, so on the loop, which has to answer them, it would wait for itself. Attributes alone, of the directory
in which a name changed, are safe.
"""

import logging
import threading
from collections.abc import Callable

import pyfuse3
import trio

from onitufs.model.ids import InodeNumber

CAPACITY = 4096
_ATTRIBUTES = None  # in place of a name: those of the inode itself

log = logging.getLogger(__name__)


class Invalidator:
    """A queue without duplicates and one thread that works it off, in order.

    First commit what changed, then ask here: whoever looks the name up afterwards finds the new state, whether or not
    the kernel had dropped its own entry by then. While a name waits, asking for it again changes nothing.
    """

    def __init__(
        self,
        *,
        capacity: int = CAPACITY,
        invalidate: Callable[[int, bytes], None] = pyfuse3.invalidate_entry,
        invalidate_attributes: Callable[[int], None] = lambda number: pyfuse3.invalidate_inode(number, attr_only=True),
    ) -> None:
        self._capacity = capacity
        self._invalidate = invalidate
        self._invalidate_attributes = invalidate_attributes
        self._names: dict[tuple[int, bytes | None], None] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._under_way = False
        self._waiting: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []
        self._thread = threading.Thread(target=self._work, name="invalidation", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        return len(self._names) >= self._capacity

    def invalidate_entry(self, parent: InodeNumber, name: bytes) -> bool:
        """Soon, have the kernel ask again for this name. False, and nothing done, while the queue is full."""
        with self._changed:
            if (parent, name) in self._names:
                return True
            if self.full or self._stopped:
                return self._stopped
            self._names[parent, name] = None
            self._changed.notify_all()
            return True

    def changed(self, parent: InodeNumber, name: bytes) -> None:
        """Soon, have the kernel ask again for this name, and for the directory's times. Also while the queue is full;
        who makes many changes awaits `room` between them."""
        with self._changed:
            if not self._stopped:
                self._names[parent, name] = self._names[parent, _ATTRIBUTES] = None
                self._changed.notify_all()

    async def room(self) -> None:
        """Wait until the queue is not full."""
        await self._until(lambda: not self.full)

    async def drained(self) -> None:
        """Wait until the kernel was told everything that was asked for so far."""
        await self._until(lambda: not self._names and not self._under_way)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while True:
            with self._changed:
                if reached() or self._stopped:
                    return
                event = trio.Event()
                self._waiting.append((trio.lowlevel.current_trio_token(), event))
            await event.wait()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Drop what is queued and end the thread. False if it still sits in the kernel; then leave the session open.

        Blocking: call it in a thread, or after the mount is gone.
        """
        with self._changed:
            self._stopped = True
            self._names.clear()
            self._changed.notify_all()
            self._wake()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        for token, event in self._waiting:
            try:
                token.run_sync_soon(event.set)
            except trio.RunFinishedError:
                continue
        self._waiting.clear()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._under_way = False
                self._wake()
                self._changed.wait_for(lambda: self._names or self._stopped)
                if self._stopped:
                    return
                parent, name = next(iter(self._names))
                # Taken out before the call: a change that is committed during it must be told again.
                del self._names[parent, name]
                self._under_way = True
            try:
                if name is _ATTRIBUTES:
                    self._invalidate_attributes(parent)
                else:
                    self._invalidate(parent, name)
            except FileNotFoundError:
                continue  # the kernel did not know it: nothing to drop
            except OSError as error:
                log.debug("cannot invalidate a name in inode %d: %s", parent, error)
            except Exception:
                log.exception("cannot invalidate a name in inode %d", parent)
