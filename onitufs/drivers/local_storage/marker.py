"""The mark in an entry's root by which it is known again: an empty mount point is not the disk that was there."""

import errno
import fcntl
import json
import os
import uuid
from pathlib import Path

from onitufs.model.errors import AnotherPlace, NeedsPerson

from .tree import Tree, sync_directory

NAME = b"identity.json"


def read(private: int, root: Path) -> str | None:
    """The identity in the private directory; None: there is none. Raises NeedsPerson for a damaged one, OSError."""
    try:
        fd = os.open(NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=private)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        raise _damaged(root) from exc
    try:
        mark = json.loads(os.read(fd, 4096))
        identity = mark["identity"]
    except (ValueError, KeyError, TypeError) as exc:
        raise _damaged(root) from exc
    finally:
        os.close(fd)
    if not isinstance(identity, str) or not identity:
        raise _damaged(root)
    return identity


def _damaged(root: Path) -> NeedsPerson:
    return NeedsPerson(f"{root}/.onitufs/identity.json is damaged; restore it from a backup of that directory")


def make(tree: Tree) -> str:
    """Make a new identity, durably. Raises OSError."""
    identity = str(uuid.uuid4())
    with tree.temp() as (fd, name):
        os.write(fd, json.dumps({"v": 1, "identity": identity}).encode() + b"\n")
        os.fsync(fd)
        tree.rename_new(name, tree.tmp, NAME, tree.private)
    sync_directory(tree.private)
    sync_directory(tree.fd)
    return identity


def verify(found: str | None, expected: str | None, root: Path) -> None:
    """Raises AnotherPlace if the root is not the one that is expected."""
    if expected is None or found == expected:
        return
    if found is None:
        what = f"{root} has no identity mark: it is not the directory that this entry was"
        raise AnotherPlace(f"{what}; is its disk mounted?")
    what = f"{root} belongs to another entry (mark {found}, expected {expected})"
    raise AnotherPlace(f"{what}; mount the right disk there, or correct the setup")


def lock(tree: Tree) -> int:
    """Hold the root for this process alone, until the descriptor is closed. Raises NeedsPerson, OSError."""
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC  # not for writing: it would hold up a remount
    fd = os.open(b"lock", flags, 0o600, dir_fd=tree.private)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(fd)
        what = f"{tree.root} is in use by another entry, or by another OnituFS"
        raise NeedsPerson(f"{what}; give each entry a root of its own") from exc
    except OSError:
        pass  # a file system without locks
    return fd
