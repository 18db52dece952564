"""The digest by which contents are compared everywhere: blake3."""

from collections.abc import Callable

from blake3 import blake3

_BLOCK = 1 << 20


def digest_of(read: Callable[[int, int], bytes]) -> bytes:
    """The digest of all that `read(offset, length)` gives, until that is nothing. Blocks; raises what `read` raises."""
    hasher, offset = blake3(), 0
    while block := read(offset, _BLOCK):
        hasher.update(block)
        offset += len(block)
    return hasher.digest()
