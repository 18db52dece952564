"""Which questions the socket takes, which arguments each has, and which method of the Service answers it."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast, get_args

import trio

from onitufs.daemon.service import Answer, Keep, Service

from .protocol import Garbled, path_of


class Arguments:
    """The fields of one request, checked one by one as they are asked for. Every method raises Garbled."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def path(self, name: str = "path") -> bytes | None:
        path = path_of(dict(self._fields), name)
        if path is not None and (not path.startswith(b"/") or b"\0" in path):
            raise Garbled(f"{name} has to begin with / and has no zero byte: it is the path inside the mount")
        return path

    def needed_path(self) -> bytes:
        path = self.path()
        if path is None:
            raise Garbled("path is missing")
        return path

    def text(self, name: str) -> str | None:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, str):
            raise Garbled(f"{name} has to be text")
        return value

    def needed_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise Garbled(f"{name} is missing")
        return value

    def seconds(self, name: str) -> float | None:
        value = self._fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise Garbled(f"{name} has to be a number of seconds")
        return float(min(value, 1e9))

    def size(self, name: str) -> int | None:
        value = self._fields.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise Garbled(f"{name} has to be a number of bytes")
        return value

    def keep(self) -> Keep:
        value = self.text("keep")
        if value not in get_args(Keep):
            raise Garbled('keep has to be "this", "other" or "both"')
        return cast(Keep, value)

    def flag(self, name: str) -> bool:
        value = self._fields.get(name, False)
        if not isinstance(value, bool):
            raise Garbled(f"{name} has to be true or false")
        return value


def _entries(service: Service, _: Arguments) -> Answer:
    return {"entries": service.entries()}


def _log(service: Service, _: Arguments) -> Answer:
    return {"log": service.log_path()}


async def _watch(service: Service, arguments: Arguments) -> AsyncIterator[Answer]:
    interval_s = arguments.seconds("interval_s") or 1.0
    while True:
        yield service.status()
        await trio.sleep(max(interval_s, 0.1))


ONE_ANSWER: dict[str, Callable[[Service, Arguments], Answer | Awaitable[Answer]]] = {
    "status": lambda service, _: service.status(),
    "entries": _entries,
    "whereis": lambda service, given: service.whereis(given.needed_path()),
    "explain": lambda service, given: service.explain(
        given.needed_path(), given.text("media_type"), given.size("size")
    ),
    "wait": lambda service, given: service.wait(given.path(), given.seconds("timeout_s")),
    "pause": lambda service, given: service.pause(given.needed_text("entry")),
    "resume": lambda service, given: service.resume(
        given.needed_text("entry"), accept=given.flag("accept"), restore=given.flag("restore")
    ),
    "conflicts": lambda service, _: service.conflicts(),
    "resolve": lambda service, given: service.resolve(given.needed_path(), given.keep()),
    "stop_draining": lambda service, given: service.stop_draining(given.needed_text("entry")),
    "pin": lambda service, given: service.pin(given.needed_path()),
    "unpin": lambda service, given: service.unpin(given.needed_path()),
    "stop": lambda service, given: service.stop(given.seconds("timeout_s"), given.flag("now")),
    "log": _log,
}

MANY_ANSWERS: dict[str, Callable[[Service, Arguments], AsyncIterator[Answer]]] = {
    "watch": _watch,
    "free": lambda service, given: service.free(given.needed_path()),
    "history": lambda service, given: service.history(given.needed_path()),
    "restore": lambda service, given: service.restore(given.needed_path(), given.text("rev"), given.path("to")),
    "scrub": lambda service, given: service.scrub(given.text("entry")),
    "plan": lambda service, given: service.plan(given.text("setup"), given.flag("apply"), given.flag("force")),
    "drain": lambda service, given: service.drain(given.needed_text("entry"), given.flag("local")),
    "events": lambda service, given: service.events(given.size("recent") or 0, given.flag("follow")),
}
