"""What a directory tree holds, by os and hashlib alone: the judge shares no code with what it judges."""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

OWN = b".onitufs"  # what a driver keeps for itself in an entry's root: identity marker, trash

Facts = tuple[Any, ...]


def sha256(path: bytes | Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def content(path: bytes, found: os.stat_result) -> Facts:
    """Kind, and what is in it: all that an entry has to agree on."""
    if stat.S_ISREG(found.st_mode):
        return ("file", found.st_size, sha256(path))
    if stat.S_ISLNK(found.st_mode):
        return ("link", os.readlink(path))
    if stat.S_ISDIR(found.st_mode):
        return ("directory",)
    return ("special", found.st_mode, found.st_rdev)


def attributes(path: bytes, found: os.stat_result) -> Facts:
    """content(), and mode, owner, ns mtime and link count: what a round trip through the mount has to keep."""
    kept = (found.st_mode, found.st_uid, found.st_gid, found.st_nlink)
    when = 0 if stat.S_ISDIR(found.st_mode) else found.st_mtime_ns
    return (*content(path, found), *kept, when)


def tree(root: Path, facts: Callable[[bytes, os.stat_result], Facts] = content) -> dict[bytes, Facts]:
    """Everything below `root` by its path, as bytes; an entry's own directory left out."""
    top = os.fsencode(root)
    found: dict[bytes, Facts] = {}

    def walk(directory: bytes) -> None:
        with os.scandir(directory) as entries:
            for entry in entries:
                relative = entry.path[len(top) + 1 :]
                if relative == OWN:
                    continue
                status = entry.stat(follow_symlinks=False)
                found[relative] = facts(entry.path, status)
                if stat.S_ISDIR(status.st_mode):
                    walk(entry.path)

    walk(top)
    return found


def files(root: Path) -> dict[bytes, Facts]:
    """tree() without directories: for entries, where an empty directory may or may not stand."""
    return {path: facts for path, facts in tree(root).items() if facts[0] != "directory"}
