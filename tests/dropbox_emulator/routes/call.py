"""A call, and what handlers share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dropbox import auth, files

from ..accounts import Account
from ..errors import BadRequest, Refused, Throttled
from ..service import Service


@dataclass(frozen=True)
class Call:
    """`account` is None on routes without a token, and only there."""

    service: Service
    caller: Account | None
    token: str
    route: Any
    arg: Any
    body: bytes
    headers: dict[str, str]

    @property
    def account(self) -> Account:
        assert self.caller is not None
        return self.caller

    def path(self, written: str) -> str:
        """A path without its namespace: of those, callers have the one of their account."""
        if written == "/":
            raise BadRequest(
                "Error in call to API function: request body: path: "
                'Specify the root folder as an empty string rather than as "/".'
            )
        if written.startswith("ns:"):
            namespace, _, rest = written[3:].partition("/")
            if namespace != self.account.namespace:
                return "/" + "\0" + namespace  # nothing is there, and nothing can be put there
            return f"/{rest}" if rest else ""
        return written

    @asynccontextmanager
    async def namespace(self, busy: Any) -> AsyncIterator[None]:
        """Hold the account's namespace for a write. When another call holds it, raises Refused(busy), or Throttled for
        routes that have no such error."""
        lock, settings = self.account.namespace_lock, self.service.settings
        if self.account.namespace_held or (lock.locked() and not settings.commits_together):
            raise Throttled(1, auth.RateLimitReason.too_many_write_operations) if busy is None else Refused(busy)
        async with lock:
            await self.service.clock.sleep(settings.commit_hold_s)
            try:
                yield
            finally:
                self.service.bell.ring()


@dataclass(frozen=True)
class Download:
    metadata: files.Metadata
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Any]]
