"""The bytes of one sealed generation, as a transfer reads them."""

from collections.abc import Callable
from typing import Protocol


class Source(Protocol):
    """A whole, unchanging generation, even while programs go on writing to the file. Used in threads.

    Every method may raise `errors.Stale` once the generation cannot be given any more; then the transfer is
    abandoned. `close` may be called twice.
    """

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end. Raises Stale, OSError."""
        ...

    def copy_into(self, fd: int, tick: Callable[[int], None] | None = None) -> bytes:
        """Write all of it into the empty file `fd` (reflink or copy_file_range where the disk can).

        `tick` is called with the bytes written so far, at least every few MiB: it counts progress, and what it raises
        ends the copy and passes (that is how a transfer is cancelled).
        Returns the blake3 digest of what was written if it was computed on the way, else b"".
        Raises Stale, OSError.
        """
        ...

    def close(self) -> None: ...
