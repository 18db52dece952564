"""Listing directories while they change.

Names come in byte order, in pieces as large as the kernel asks for, so a listing is a cursor and not a copy of the
directory. A cookie stands for the name that was given with it: the next piece begins after that name, whatever has
been added or removed meanwhile. So nothing that stays is skipped or given twice.
"""

from collections.abc import Callable

from pyfuse3 import EntryAttributes, ReaddirToken, readdir_reply

from onitufs.model.errors import NoEntry
from onitufs.model.files import Inode
from onitufs.model.ids import InodeNumber
from onitufs.volume import Volume

from .inodes import Lookups

_FIRST_PIECE = 32  # names that about fit into the 4 KiB that old kernels ask for
_MORE = 8  # names vary in length: ask for a few more, rather than twice
_DOTS = 2  # cookies 1 and 2 follow "." and ".."


class Listing:
    """One open directory. `given[n - 1]` is the name after which cookie n goes on."""

    __slots__ = ("given", "number", "piece")

    def __init__(self, number: InodeNumber) -> None:
        self.number = number
        self.given: list[bytes] = [b"", b""]
        self.piece = _FIRST_PIECE

    def cookie(self, position: int, name: bytes) -> int:
        """The cookie of the name that follows cookie `position`; the same one if it was given there before."""
        given = self.given
        if position < len(given):
            if given[position] == name:
                return position + 1
            position = len(given)  # the directory changed since: cookies that are out keep their names
        given.append(name)
        return position + 1


class Directories:
    """Open directories by handle."""

    def __init__(self, volume: Volume, lookups: Lookups, attributes_of: Callable[[Inode], EntryAttributes]) -> None:
        self._volume = volume
        self._lookups = lookups
        self._attributes_of = attributes_of
        self._listings: dict[int, Listing] = {}
        self._next = 1

    def open(self, number: InodeNumber) -> int:
        handle = self._next
        self._next += 1
        self._listings[handle] = Listing(number)
        return handle

    def close(self, handle: int) -> None:
        del self._listings[handle]

    def __len__(self) -> int:
        return len(self._listings)

    def number(self, handle: int) -> InodeNumber:
        return self._listings[handle].number

    def reply(self, handle: int, cookie: int, token: ReaddirToken) -> None:
        """Give the kernel what follows `cookie` until it has enough. Each name given counts as a lookup."""
        listing = self._listings[handle]
        if cookie == 0:
            del listing.given[_DOTS:]  # rewound: cookies from before are no longer in use
        if cookie < _DOTS and not self._dots(listing, cookie, token):
            return
        position = max(cookie, _DOTS)
        if position > len(listing.given):
            return  # from before the rewind: POSIX leaves open what this gives
        given, counts, sent = listing.given, self._lookups.counts, 0
        attributes_of = self._attributes_of
        after = given[position - 1]
        while True:
            asked = listing.piece
            rows = self._volume.list_inodes(listing.number, after, asked)
            for name, inode in rows:
                if inode is None:
                    continue  # the others are to be seen all the same
                if position == len(given):
                    given.append(name)
                    following = position + 1
                else:
                    following = listing.cookie(position, name)
                if not readdir_reply(token, name, attributes_of(inode), following):
                    listing.piece = max(sent + _MORE, _FIRST_PIECE)  # the next reply takes about as many
                    return
                counts[inode.number] = counts.get(inode.number, 0) + 1
                position, after, sent = following, name, sent + 1
            if len(rows) < asked:
                return

    def _dots(self, listing: Listing, cookie: int, token: ReaddirToken) -> bool:
        """ "." and "..", which the kernel does not count. Returns whether there is room for more."""
        here = self._volume.inode(listing.number)
        if cookie == 0 and not readdir_reply(token, b".", self._attributes_of(here), 1):
            return False
        return bool(readdir_reply(token, b"..", self._above(here), 2))

    def _above(self, here: Inode) -> EntryAttributes:
        try:
            return self._attributes_of(self._volume.peek(here.parent))
        except NoEntry:
            return self._attributes_of(here)
