"""Which orders may run side by side on one entry.

A driver works on paths. While it does, what the path stands for must not change: no two orders may touch one file or
one place, and no directory may be moved, removed or taken over while something is put into it.
"""

from collections import Counter
from collections.abc import Iterator

from onitufs.model.copies import Place
from onitufs.model.ids import FileId
from onitufs.model.orders import Move, Order, Put

from .ledger import Copies

_Touched = FileId | Place


class Running:
    """The orders that run on one entry. `copies` answers as ledger.Copies says."""

    def __init__(self) -> None:
        self._held: dict[FileId, tuple[frozenset[_Touched], frozenset[_Touched]]] = {}
        self._alone: dict[_Touched, FileId] = {}
        self._shared: Counter[_Touched] = Counter()

    def may_start(self, order: Order, copies: Copies) -> bool:
        """Whether nothing that runs stands in the order's way. If not, try again whenever an order has ended."""
        alone, shared = _touches(order, copies)
        return not any(it in self._alone or it in self._shared for it in alone) and not any(
            it in self._alone for it in shared
        )

    def started(self, order: Order, copies: Copies) -> None:
        """It runs from now on. Only after may_start said so."""
        alone, shared = self._held[order.file] = _touches(order, copies)
        self._alone.update(dict.fromkeys(alone, order.file))
        self._shared.update(shared)

    def ended(self, order: Order) -> None:
        """It ran, whatever came of it."""
        alone, shared = self._held.pop(order.file)
        for it in alone:
            del self._alone[it]
        self._shared.subtract(shared)
        for it in shared:
            if not self._shared[it]:
                del self._shared[it]


def _touches(order: Order, copies: Copies) -> tuple[frozenset[_Touched], frozenset[_Touched]]:
    """What an order needs for itself alone, and what it needs to stay as it is."""
    alone: set[_Touched] = {order.file}
    shared: set[_Touched] = set()
    for place in _places(order):
        alone.add(place)
        shared.add(place.parent)
    if isinstance(order, Put | Move):
        if order.replaces is not None:
            alone.add(order.replaces.file)
        for directory in order.missing:
            shared.add(directory)
            place_of = copies.put_place(order.entry, directory)
            if place_of is not None:
                shared |= {place_of, place_of.parent}
    return frozenset(alone), frozenset(shared - alone)


def _places(order: Order) -> Iterator[Place]:
    if isinstance(order, Put | Move):
        yield order.place
    copy = order.had if isinstance(order, Put) else order.copy
    if copy is not None:
        yield copy.place
