"""What only this run knows of each file on each entry. Losing it costs questions, never a file."""

from collections import Counter

from onitufs.model.copies import Place
from onitufs.model.ids import EntryName, FileId
from onitufs.model.orders import Move, Order, Put

Key = tuple[EntryName, FileId]


class Memory:
    """`ordered`: given to the entry's Plug and not ended. `running`: those of them that may have begun. `epochs`: how
    many orders have ended on each entry.

    `making`: how many running orders make a directory on their way; `given`: where they were told to make it, which
    holds until they end. `refused`: the last order that the entry refused for good, and why. `needed`: directories that
    somebody's Decision needs on the entry.
    """

    def __init__(self) -> None:
        self.epochs: Counter[EntryName] = Counter()
        self.ordered: dict[Key, Order] = {}
        self.running: dict[Key, Order] = {}
        self.making: Counter[Key] = Counter()
        self.given: dict[Key, Place] = {}
        self.refused: dict[Key, tuple[Order, str]] = {}
        self.needed: dict[Key, None] = {}

    def started(self, order: Order) -> None:
        """A Plug begins with an order. One that failed and is tried again by the Plug still counts as running."""
        key = (order.entry, order.file)
        if key not in self.running:
            self.running[key] = order
            for directory in missing_of(order):
                self.making[order.entry, directory] += 1

    def ended(self, order: Order) -> None:
        """A Plug reported an order's end, or was stopped."""
        key = (order.entry, order.file)
        self.epochs[order.entry] += 1
        self.ordered.pop(key, None)
        begun = self.running.pop(key, None)
        for directory in missing_of(begun) if begun is not None else ():
            making = (order.entry, directory)
            self.making[making] -= 1
            if not self.making[making]:
                del self.making[making]
                self.given.pop(making, None)

    def is_running(self, key: Key) -> bool:
        """Whether an order for the file, or one that makes it on the way, may be under way on the entry."""
        return key in self.running or key in self.making

    def drop(self, entry: EntryName) -> None:
        """The entry's Plug was stopped."""
        for order in [order for key, order in (self.ordered | self.running).items() if key[0] == entry]:
            self.ended(order)


def missing_of(order: Order) -> tuple[FileId, ...]:
    """The directories that an order makes on its way."""
    return order.missing if isinstance(order, Put | Move) else ()
