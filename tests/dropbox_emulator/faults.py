"""How the service is to misbehave, route by route."""

import fnmatch
from dataclasses import dataclass, field
from typing import Any

import trio

from .clock import Bell


@dataclass(eq=False)
class Fault:
    """What happens to the next `times` calls (0: to all) of `route` (a glob) after `skip` of them went well, counting
    only those whose argument, as JSON, has `match` in it. What is set of the rest happens, in this order."""

    route: str
    times: int = 1
    skip: int = 0
    match: str = ""
    cut_request_after: int | None = None
    """Hang up after so many bytes of the body were read; nothing is done."""
    hold: str | None = None
    """Wait until the test releases this name, before anything is done."""
    delay_s: float = 0.0
    drop: str | None = None
    """Hang up without an answer: "before" anything is done, or "after" all was."""
    status: int | None = None
    """Answer with this status instead of doing anything."""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    error: Any = None
    """Answer 409 with this error, as JSON, instead of doing anything."""
    cut_answer_after: int | None = None
    """Hang up after so many bytes of the answer's body."""
    hold_answer: str | None = None
    """Wait until the test releases this name, after all was done and before the answer."""
    corrupt: bool = False
    """Turn over the first byte of what is downloaded."""
    ignore_range: bool = False
    """Send the whole file although a part was asked for."""


class Faults:
    """The faults that are still to come, and the gates that tests hold shut."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._gates: dict[str, trio.Event] = {}
        self._waiting: dict[str, int] = {}
        self._bell = Bell()

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()
        for gate in self._gates.values():
            gate.set()
        self._gates.clear()

    def left(self) -> int:
        """How many faults have not happened yet (those for all calls never have)."""
        return len(self._faults)

    def take(self, route: str, arg_text: str, *, while_reading: bool) -> Fault | None:
        """The fault that this call meets. Faults that cut the request's body are asked for `while_reading`."""
        for fault in self._faults:
            if (fault.cut_request_after is not None) != while_reading:
                continue
            if not fnmatch.fnmatchcase(route, fault.route) or fault.match not in arg_text:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.times == 1:
                self._faults.remove(fault)
            elif fault.times > 1:
                fault.times -= 1
            return fault
        return None

    # -- gates --------------------------------------------------------------------------------------------------------

    async def pass_gate(self, name: str) -> None:
        gate = self._gates.setdefault(name, trio.Event())
        self._waiting[name] = self._waiting.get(name, 0) + 1
        self._bell.ring()
        await gate.wait()
        self._waiting[name] -= 1

    def release(self, name: str) -> None:
        self._gates.setdefault(name, trio.Event()).set()

    async def wait_for_waiting(self, name: str, count: int) -> None:
        """Until so many calls stand at the gate."""
        while self._waiting.get(name, 0) < count:
            await self._bell.wait()
