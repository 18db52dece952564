"""Orders of an earlier run that may have been carried out: looked at before anything else is done on the entry."""

from dataclasses import dataclass

from onitufs.model.errors import Stale
from onitufs.model.files import Kind
from onitufs.model.orders import Done, Failed, Move, Outcome, Put

from .calling import Handlers
from .handlers import Found, RemotePath

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An order without a known end. `path`: where its object was to stand; `size`, `mtime_ns`: by what it is known."""

    order: Put | Move
    path: RemotePath
    size: int
    mtime_ns: int


async def outcome_of(unfinished: Unfinished, handlers: Handlers) -> Outcome:
    """Done if the object at the place is the order's own, else Failed(stale=True). Raises DriverError."""
    order = unfinished.order
    found: Found | None = await handlers.call("stat", unfinished.path)
    if found is None or not _is_its_own(unfinished, found):
        return Failed(order=order, error=Stale("it was not carried out before the crash"), again=True, stale=True)
    made = tuple((directory, True) for directory in order.missing)
    return Done(order=order, state=found.state, made=made)


def _is_its_own(unfinished: Unfinished, found: Found) -> bool:
    """Nothing but the order gives an object this kind, size and time; and it is not what stood there before."""
    order = unfinished.order
    before = order.replaces or (order.had if isinstance(order, Put) else None)
    if before is not None and before.place == order.place and found.state.rev == before.rev:
        return False
    kind = order.kind if isinstance(order, Put) else order.copy.kind
    if found.kind is not kind:
        return False
    if kind is Kind.FILE:
        kept = (unfinished.mtime_ns, unfinished.mtime_ns // _SECOND * _SECOND)  # some keep whole seconds
        return found.size == unfinished.size and found.mtime_ns in kept
    return kind is Kind.DIRECTORY or (isinstance(order, Put) and found.target == order.target)
