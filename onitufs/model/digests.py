"""Digests of contents, and which of them may be compared.

A digest is plain blake3, or has the name of another algorithm before it: b"dropbox:" and 32 bytes. So unlike ones are
never equal, and whoever meets one knows how to compute its like. b"" stands for a digest that nobody knows.
"""

import hashlib
from collections.abc import Callable, Collection
from typing import Protocol

BLAKE3 = "blake3"
"""Ours, wherever the service has no other one for nothing."""
DROPBOX = "dropbox"
"""Dropbox's content_hash."""

_BLOCK = 1 << 20
_DROPBOX_BLOCK = 4 << 20


class Hasher(Protocol):
    """As those of hashlib."""

    def update(self, data: bytes, /) -> object: ...

    def digest(self) -> bytes: ...


class DropboxHasher:
    """SHA-256 of the SHA-256s of all blocks of 4 MiB. Source: dropbox.com/developers/reference/content-hash."""

    def __init__(self) -> None:
        self._blocks = hashlib.sha256()
        self._block = hashlib.sha256()
        self._filled = 0

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            part = view[: _DROPBOX_BLOCK - self._filled]
            self._block.update(part)
            self._filled += len(part)
            view = view[len(part) :]
            if self._filled == _DROPBOX_BLOCK:
                self._blocks.update(self._block.digest())
                self._block, self._filled = hashlib.sha256(), 0

    def digest(self) -> bytes:
        all_of_it = self._blocks.copy()
        if self._filled:
            all_of_it.update(self._block.digest())
        return all_of_it.digest()


def _blake3() -> Hasher:
    from blake3 import blake3  # manifests name algorithms, and are read by commands that have to be quick

    return blake3()


_ALGORITHMS: dict[str, Callable[[], Hasher]] = {BLAKE3: _blake3, DROPBOX: DropboxHasher, "sha256": hashlib.sha256}
ALGORITHMS = frozenset(_ALGORITHMS)
"""Names that a driver's manifest may give as its "digest"."""
_TAGS = {name: f"{name}:".encode() for name in _ALGORITHMS if name != BLAKE3}
_LENGTHS = {name: len(tag) + 32 for name, tag in _TAGS.items()}


def hasher_of(algorithm: str) -> Hasher:
    """A new hasher of that name; its digest() is still to be tagged."""
    return _ALGORITHMS[algorithm]()


def tagged(algorithm: str, raw: bytes) -> bytes:
    """What a hasher of that algorithm gave, as we keep it."""
    return raw if algorithm == BLAKE3 or not raw else _TAGS[algorithm] + raw


def algorithm_of(digest: bytes) -> str:
    """The algorithm that made a digest."""
    for name, tag in _TAGS.items():
        if len(digest) == _LENGTHS[name] and digest.startswith(tag):
            return name
    return BLAKE3


def comparable(one: bytes, other: bytes) -> bool:
    """Whether these two tell if the contents are equal."""
    return bool(one and other) and algorithm_of(one) == algorithm_of(other)


def shown(digest: bytes) -> str:
    """For people and JSON: hexadecimal, behind the algorithm's name if it is another than blake3."""
    algorithm = algorithm_of(digest)
    if algorithm == BLAKE3:
        return digest.hex()
    return f"{algorithm}:{digest[len(_TAGS[algorithm]) :].hex()}"


def digest_of(read: Callable[[int, int], bytes], algorithm: str = BLAKE3) -> bytes:
    """The digest of all that `read(offset, length)` gives, until that is nothing. Blocks; raises what `read` raises."""
    hasher, offset = hasher_of(algorithm), 0
    while block := read(offset, _BLOCK):
        hasher.update(block)
        offset += len(block)
    return tagged(algorithm, hasher.digest())


def is_one_of(data: bytes, known: Collection[bytes]) -> bool:
    """Whether the digest of all these bytes is one of those known, or none is."""
    algorithms = {algorithm_of(digest) for digest in known}
    return not known or any(digest_of(_slicing(data), algorithm) in known for algorithm in algorithms)


def _slicing(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]
