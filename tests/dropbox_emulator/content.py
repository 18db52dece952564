"""Bytes of files, and the hash that the service gives them."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

BLOCK = 4 * 1024 * 1024
SMALL = 256 * 1024


def content_hash(data: bytes | memoryview) -> str:
    """SHA-256 of the SHA-256s of the blocks of 4 MiB."""
    view = memoryview(data)
    outer = hashlib.sha256()
    for start in range(0, len(view), BLOCK):
        outer.update(hashlib.sha256(view[start : start + BLOCK]).digest())
    return outer.hexdigest()


def content_hash_of_file(path: Path) -> str:
    outer = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            outer.update(hashlib.sha256(block).digest())
    return outer.hexdigest()


@dataclass(frozen=True)
class Content:
    """Bytes that do not change any more: in memory, or in a file when they are many."""

    hash: str
    size: int
    data: bytes | Path

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        length = self.size - offset if length is None else length
        if isinstance(self.data, bytes):
            return self.data[offset : offset + length]
        with self.data.open("rb") as file:
            file.seek(offset)
            return file.read(length)


class Contents:
    """All that was ever committed, each content once. Large ones are files of `directory`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._by_hash: dict[str, Content] = {}

    def add(self, data: bytes) -> Content:
        digest = content_hash(data)
        if digest not in self._by_hash:
            kept: bytes | Path = data
            if len(data) > SMALL:
                kept = self._directory / digest
                kept.write_bytes(data)
            self._by_hash[digest] = Content(digest, len(data), kept)
        return self._by_hash[digest]

    def adopt(self, file: Path) -> Content:
        """Take over what a session gathered in `file`; the file stays as it is."""
        size = file.stat().st_size
        if size <= SMALL:
            return self.add(file.read_bytes())
        digest = content_hash_of_file(file)
        if digest not in self._by_hash:
            kept = self._directory / digest
            os.link(file, kept)  # nobody writes into a session whose bytes were committed
            self._by_hash[digest] = Content(digest, size, kept)
        return self._by_hash[digest]
