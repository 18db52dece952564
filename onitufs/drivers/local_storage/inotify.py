"""inotify(7), typed, for directories that are open already: nothing is followed."""

import os
from contextlib import suppress
from typing import NamedTuple

from inotify_simple import INotify, flags, parse_events

CREATE, DELETE, MODIFY, ATTRIB = int(flags.CREATE), int(flags.DELETE), int(flags.MODIFY), int(flags.ATTRIB)
CLOSE_WRITE, MOVED_FROM, MOVED_TO = int(flags.CLOSE_WRITE), int(flags.MOVED_FROM), int(flags.MOVED_TO)
DELETE_SELF, MOVE_SELF, UNMOUNT = int(flags.DELETE_SELF), int(flags.MOVE_SELF), int(flags.UNMOUNT)
OVERFLOW, IGNORED, IS_DIRECTORY = int(flags.Q_OVERFLOW), int(flags.IGNORED), int(flags.ISDIR)

_NAMES = CREATE | DELETE | MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO
_MASK = _NAMES | DELETE_SELF | MOVE_SELF | int(flags.ONLYDIR) | int(flags.EXCL_UNLINK)
_SLICE_BYTES = 16 << 10
"""Read at a time, some hundreds of events: a few milliseconds of the loop."""


class Event(NamedTuple):
    """`watch`: number of the directory's watch, -1 for OVERFLOW. `name`: in that directory, b"" for itself."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """One queue of events. Raises OSError."""

    def __init__(self) -> None:
        self._inotify = INotify(nonblocking=True)
        self.fd: int = self._inotify.fileno()

    def add(self, directory: int) -> int:
        """Watch an open directory; its number, the same as before if it is watched already."""
        number: int = self._inotify.add_watch(f"/proc/self/fd/{directory}", _MASK)
        return number

    def remove(self, watch: int) -> None:
        """Watch it no longer. IGNORED follows."""
        with suppress(OSError):  # the directory is gone, and its watch with it
            self._inotify.rm_watch(watch)

    def read(self) -> list[Event]:
        """The next events, oldest first; [] if there are none."""
        try:
            data = os.read(self.fd, _SLICE_BYTES)
        except BlockingIOError:
            return []
        return [Event(event.wd, event.mask, os.fsencode(event.name)) for event in parse_events(data)]

    def close(self) -> None:
        self._inotify.close()
