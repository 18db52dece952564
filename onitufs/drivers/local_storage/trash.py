"""Where replaced and deleted objects stay for a while: .onitufs/trash/DATE/PATH, put there by rename."""

import errno
import os
import stat
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta

from onitufs.drivers.handlers import RemotePath
from onitufs.model.names import cut

from .tree import DIRECTORY, TRASH, Directories, Tree

_AT_ONCE = 5000
"""Objects removed in one call of `clean`, at most: it has the disk to itself for no longer than a few seconds."""


class Trash:
    def __init__(self, tree: Tree, days: int, now_s: Callable[[], float]) -> None:
        self._tree = tree
        self._days = days
        self._now_s = now_s

    def take(self, directories: Directories, name: bytes, directory: int, path: RemotePath) -> tuple[bytes, int]:
        """Rename an object to a free name of its own in the trash; that name and its directory's descriptor.

        `path`: where a person will look for it. A file that is in the way of a directory there is avoided by a "~".
        """
        clock = time.localtime(self._now_s())
        where = self._directory(directories, (*TRASH, time.strftime("%Y-%m-%d", clock).encode()), path[:-1])
        stamp = time.strftime("~%H%M%S", clock).encode()
        number = 0
        while True:
            mark = b"" if number == 0 else stamp if number == 1 else stamp + b"-%d" % number
            slot = cut(path[-1], 255 - len(mark)) + mark
            try:
                self._tree.rename_new(name, directory, slot, where)
            except FileExistsError:
                number += 1
            else:
                return slot, where

    def _directory(self, directories: Directories, day: RemotePath, below: RemotePath) -> int:
        fd = directories.make(day)
        path = day
        for name in below:
            while True:
                try:
                    fd = directories.make((*path, name))
                    break
                except OSError as exc:
                    if exc.errno not in {errno.ENOTDIR, errno.ELOOP}:
                        raise
                    name = cut(name, 254) + b"~"
            path = (*path, name)
        return fd

    def clean(self) -> bool:
        """Remove what is older than `days`, some of it; True: there is more."""
        oldest = datetime.fromtimestamp(self._now_s()).astimezone().date() - timedelta(days=self._days)
        budget = [_AT_ONCE]
        with self._tree.directories() as directories:
            trash = directories.fd(TRASH)
            for name in os.listdir(trash):
                try:
                    day = date.fromisoformat(name)
                except ValueError:
                    continue  # not ours
                if day < oldest:
                    _remove(os.fsencode(name), trash, budget)
                    if budget[0] <= 0:
                        return True
        return False


def _remove(name: bytes, directory: int, budget: list[int]) -> None:
    """Remove a tree, by descriptors, until the budget is used up."""
    if budget[0] <= 0:
        return
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=directory)
        budget[0] -= 1
        return
    fd = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        for below in os.listdir(fd):
            _remove(os.fsencode(below), fd, budget)
    finally:
        os.close(fd)
    if budget[0] > 0:
        os.rmdir(name, dir_fd=directory)
        budget[0] -= 1
