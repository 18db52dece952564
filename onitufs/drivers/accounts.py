"""Accounts at services: what one entry is told by Retry-After holds for all entries of the same account."""

from collections.abc import Callable
from datetime import UTC, datetime
from weakref import WeakValueDictionary

import trio

from .backoff import Backoff
from .bandwidth import Bucket

SHOWN_S = 5.0
"""Shorter waits are nothing to tell people of."""


class Account:
    """One account. `until`: trio's clock; before that time it must not be used."""

    def __init__(self) -> None:
        self.until = -float("inf")
        self.listeners: list[Callable[[], None]] = []
        self._changed = trio.Event()

    def wait_until(self, until: float) -> None:
        """The service does not want to be asked before that time."""
        if until > self.until:
            self._set(until)

    def clear(self) -> None:
        """Ask again at once: a person says so."""
        self._set(-float("inf"))

    def _set(self, until: float) -> None:
        self.until = until
        self._changed.set()
        self._changed = trio.Event()
        for listener in list(self.listeners):
            listener()

    async def turn(self) -> None:
        """Until it may be used."""
        while trio.current_time() < self.until:
            with trio.move_on_at(self.until):
                await self._changed.wait()


class Accounts:
    """The accounts that entries have in common, by driver and name."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[str, str], Account] = WeakValueDictionary()

    def get(self, driver: str, name: str) -> Account:
        account = self._known.get((driver, name))
        if account is None:
            account = self._known[driver, name] = Account()
        return account


class Gate:
    """What every call to one entry's service passes: shut while its account must not be used.

    `changed` is called when the time until which it is shut is another one. `down`: the limit for what is read in
    chunks; all else that moves bytes keeps to its limit as it goes.
    """

    def __init__(self, backoff: Backoff, changed: Callable[[], None], now_s: Callable[[], float], down: Bucket) -> None:
        self.down = down
        self._backoff = backoff
        self._changed = changed
        self._now_s = now_s
        self._account = Account()
        self._account.listeners.append(changed)

    def join(self, account: Account) -> None:
        """From now on the entry is one of this account."""
        if account is not self._account:
            self.leave()
            account.wait_until(self._account.until)
            account.listeners.append(self._changed)
            self._account = account

    def leave(self) -> None:
        """What concerns the account is of no concern here any more."""
        if self._changed in self._account.listeners:
            self._account.listeners.remove(self._changed)

    @property
    def shut_s(self) -> float:
        """For how many seconds from now it is shut; 0: it is open."""
        return max(0.0, self._account.until - trio.current_time())

    @property
    def until(self) -> float:
        """Until when it is shut, by trio's clock."""
        return self._account.until

    async def turn(self) -> None:
        """Until it is open."""
        await self._account.turn()

    def obey(self, retry_after_s: float) -> None:
        """The service asked not to be asked for so long; a little longer, so that not all come back in one instant."""
        if self.shut_s < retry_after_s:
            self._account.wait_until(trio.current_time() + self._backoff.delay_s(1, retry_after_s))

    def open(self) -> None:
        """A person wants it tried at once."""
        self._account.clear()

    def said(self) -> tuple[str, str]:
        """Reason and remedy, for people, while it is shut."""
        ends = datetime.fromtimestamp(self._now_s() + self.shut_s, UTC).astimezone()
        when = f"{ends:%H:%M:%S}" if self.shut_s < 12 * 3600 else f"{ends:%Y-%m-%d %H:%M}"
        return f"rate limited by the service until {when}", "nothing to do: it goes on by itself"
