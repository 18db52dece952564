"""Whether an entry still has what it is known to hold: what open() of a large file asks."""

import contextlib
from collections.abc import Callable

import trio

from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy, Found
from onitufs.model.errors import Conflict, Gone, ServiceError
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import InodeNumber

from .holders import Holders, wanted_of
from .under_way import Under, telling

VERIFY_S = 2.0  # what an entry gets to say so


class _Unanswered(Exception):
    """An entry has not said in time whether it still has what it had: no reason to think that it has not."""


class Verifier:
    """Asks once, however many open the same file. `start` runs a task that nobody waits for."""

    def __init__(self, holders: Holders, start: Callable[..., None]) -> None:
        self._holders = holders
        self._start = start
        self._looks: dict[InodeNumber, Under] = {}

    async def verify(self, inode: Inode) -> None:
        """Raise Stale if an entry says that it has the bytes of an absent file no more; see Holders.ask, which gives
        time to take over what it has instead. Waits VERIFY_S for an answer; any other trouble is left to who reads."""
        look = self._looks.get(inode.number)
        if look is None:
            if not inode.absent or not self._holders.can_answer(wanted_of(inode)):
                return
            look = self._looks[inode.number] = Under()
            self._start(self._look, inode, look)
        try:
            await look.wait()
        except (ServiceError, trio.TooSlowError):
            return

    async def _look(self, inode: Inode, look: Under) -> None:
        async def at(plug: Plug, path: RemotePath, copy: Copy) -> None:
            found: Found | None = None
            with trio.move_on_after(VERIFY_S) as scope, self._holders.measuring(copy.entry, 0):
                found = await plug.look(path)
            if scope.cancelled_caught:
                raise _Unanswered
            if found is None:
                raise Gone(f"nothing is there any more for inode {inode.number}")
            if found.kind is not Kind.FILE or found.state.rev != copy.rev:
                raise Conflict(f"it has rev {found.state.rev}, not {copy.rev}")

        with telling(look), contextlib.suppress(_Unanswered):
            await self._holders.ask(wanted_of(inode), at)
        del self._looks[inode.number]
        look.done.set()
