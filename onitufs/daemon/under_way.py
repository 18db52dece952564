"""Something under way that several may wait for, and what goes wrong in it."""

import errno
import logging
import os
from typing import TypeAlias

import trio

from onitufs.model.errors import OnituError, ServiceError

log = logging.getLogger(__name__)

Trouble: TypeAlias = OnituError | OSError | trio.TooSlowError


class Under:
    """`done` is set at the end, after `trouble` if there was any."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.trouble: Trouble | None = None

    async def wait(self) -> None:
        """Until the end. Raises the trouble."""
        await self.done.wait()
        if self.trouble is not None:
            raise _again(self.trouble)


class telling:  # noqa: N801  used like a function
    """What goes wrong inside is told to whoever waits, and ends here; a bug is logged first."""

    def __init__(self, under: Under) -> None:
        self._under = under

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> bool:
        if error is None:
            return False
        if isinstance(error, OnituError | OSError | trio.TooSlowError):
            self._under.trouble = error
            return True
        self._under.trouble = ServiceError("the daemon ends")
        if not isinstance(error, Exception):
            self._under.done.set()
            return False
        log.error("fetching failed", exc_info=error)
        self._under.trouble = OSError(errno.EIO, os.strerror(errno.EIO))
        return True


def _again(trouble: Trouble) -> Trouble:
    """The same for one more who waits: an exception that is raised twice collects the tracebacks of both."""
    if isinstance(trouble, OSError):
        return OSError(trouble.errno, trouble.strerror)
    return type(trouble)(*trouble.args)
