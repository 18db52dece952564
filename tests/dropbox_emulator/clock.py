"""The time as the service sees it: a test may turn it forward."""

import datetime
import time

import trio


class Bell:
    """Wakes everybody who waits, each time it rings."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        await self._event.wait()


class Clock:
    """Real time plus what a test added; `bell` rings when it is turned."""

    def __init__(self, bell: Bell) -> None:
        self._ahead_s = 0.0
        self._bell = bell

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        until = self.now() + seconds
        while (left_s := until - self.now()) > 0:
            with trio.move_on_after(left_s):
                await self._bell.wait()

    def advance(self, seconds: float) -> None:
        self._ahead_s += seconds
        self._bell.ring()

    def stamp(self) -> datetime.datetime:
        """Now, in the whole seconds of UTC that the API tells."""
        return datetime.datetime.fromtimestamp(int(self.now()), datetime.UTC).replace(tzinfo=None)
