"""What the Copies are after an order was carried out. Pure record arithmetic.

Whoever carries orders out (the daemon, and the tests' simulated world) commits `apply`'s answer in one transaction with
everything else that the outcome changes, then asks the Referee about each of `ask`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, assert_never

from onitufs.model.copies import Copy, Place, RemoteState
from onitufs.model.files import Kind
from onitufs.model.ids import PARKING, ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.model.orders import Delete, Done, Move, Order, Put, SetAttributes


class Copies(Protocol):
    """The Copies as they are now."""

    def get(self, file: FileId, entry: EntryName) -> Copy | None:
        """A file's Copy on an entry."""
        ...

    def at(self, entry: EntryName, place: Place) -> Copy | None:
        """The Copy that stands at a place on an entry."""
        ...

    def children(self, entry: EntryName, directory: FileId) -> Iterable[Copy]:
        """The Copies whose place is in this directory."""
        ...

    def put_place(self, entry: EntryName, directory: FileId) -> Place | None:
        """Where a directory without a Copy there is put by orders that name it in `missing`; None if it is dead.

        While such an order runs: the place that its driver was given when it began, even if the directory was renamed
        since. Orders that make one directory at two places, or two at one, do not run at the same time; a directory's
        own Put is such an order, too.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Copies that are gone, Copies that are now as given (one a file and entry), and whom to ask about next.

    Beside `ask`, everyone who waits for (Decision.waits_for) a file in `removed` or `put` is to be asked. Each of `ask`
    is marked unsettled in the transaction that writes the Copies: a directory that just lost its last child, or was
    made on the way, may have to go. (After an order that failed, its file and its `missing` are asked about.)
    """

    removed: tuple[Copy, ...] = ()
    put: tuple[Copy, ...] = ()
    ask: tuple[FileId, ...] = ()


def apply(done: Done, copies: Copies, verified_ns: int = 0) -> Changes:
    """What an entry's confirmation makes of the Copies.

    - Put: the file's Copy is at the place, with the order's generation, size, mtime and mode and the confirmed rev,
      remote id and digest. If it replaced the Copy of G: where the file had a Copy elsewhere (`had`), that object is
      now G's, with generation 0; else G has none. A directory that replaced a dead one gets its Copy (and its `made`),
      and everything in it is now in the new one.
    - Move: the Copy is at the new place; a Copy that was replaced there is gone.
    - Delete: the Copy is gone, also where a directory remains that is not ours; it is kept where something of ours
      still stands in it.
    - SetAttributes: mode and mtime are the order's.
    - Each directory that was made or found on the way, and had no Copy, has one; `made` once true stays true.
    """
    order = done.order
    entry = order.entry
    new_directories = list(_directories(done, copies))
    match order:
        case Put():
            changes = _after_put(order, done, copies, verified_ns)
        case Move():
            copy = _now(order.copy, copies)
            moved = _confirmed(replace(copy, place=order.place), done.state, verified_ns)
            changes = Changes(removed=_maybe(order.replaces, copies), put=(moved,), ask=(copy.place.parent,))
        case Delete():
            if done.remains and any(True for _ in copies.children(entry, order.file)):
                changes = Changes()
            else:
                copy = _now(order.copy, copies)
                changes = Changes(removed=(copy,), ask=(copy.place.parent,))
        case SetAttributes():
            kept = replace(_now(order.copy, copies), mode=order.mode, mtime_ns=order.mtime_ns)
            changes = Changes(put=(_confirmed(kept, done.state, verified_ns),))
        case _:
            assert_never(order)
    put = (*new_directories, *changes.put)
    above = order.missing if isinstance(order, Put | Move) else ()
    asked = (order.file, *above, *(copy.file for copy in (*changes.removed, *put)), *changes.ask)
    ask = tuple(file for file in dict.fromkeys(asked) if file not in (ROOT_FILE, PARKING))
    return Changes(removed=changes.removed, put=put, ask=ask)


def fits(order: Order, copies: Copies) -> bool:
    """Whether an order still starts from the Copies as they are. If not it is stale: ask about its file again."""
    entry = order.entry
    if isinstance(order, Delete | SetAttributes):
        return copies.get(order.file, entry) == order.copy
    had = order.had if isinstance(order, Put) else order.copy
    if copies.get(order.file, entry) != had:
        return False
    there = copies.at(entry, order.place)
    if there != order.replaces and not (isinstance(order, Put) and order.replaces is None and there == had):
        return False
    return _can_be_reached(order, copies)


def _after_put(order: Put, done: Done, copies: Copies, verified_ns: int) -> Changes:
    is_directory = order.kind is Kind.DIRECTORY
    made = False
    if is_directory:
        made = _now(order.replaces, copies).made if order.replaces else dict(done.made).get(order.file, False)
    new = Copy(
        file=order.file,
        entry=order.entry,
        kind=order.kind,
        place=order.place,
        generation=order.generation,
        size=order.size,
        mtime_ns=order.mtime_ns,
        mode=order.mode if made or not is_directory or order.had is not None else 0,  # one that was there keeps its own
        rev="",
        made=made,
        found=_was_found(order, copies) or (is_directory and order.had is None and not made),
    )
    new = _confirmed(new, done.state, verified_ns)
    if order.replaces is None:
        return Changes(put=(new,))
    other = _now(order.replaces, copies)
    if is_directory:
        moved_in = [
            replace(child, place=Place(order.file, child.place.name))
            for child in copies.children(order.entry, other.file)
        ]
        return Changes(removed=(other,), put=(new, *moved_in))
    if order.had is None:
        return Changes(removed=(other,), put=(new,))
    left_over = replace(_now(order.had, copies), file=other.file, generation=GenerationId(0), found=False)
    return Changes(put=(new, left_over))


def _was_found(order: Put, copies: Copies) -> bool:
    """Whether the order's place is one that others had filled: then so it remains, whoever has the name now."""
    return any(copy is not None and _now(copy, copies).found for copy in (order.had, order.replaces))


def _directories(done: Done, copies: Copies) -> Iterable[Copy]:
    entry = done.order.entry
    for directory, made in done.made:
        known = copies.get(directory, entry)
        if directory == done.order.file:
            continue
        if known is not None:
            if made and not known.made:
                yield replace(known, made=True)
            continue
        place = copies.put_place(entry, directory)
        if place is not None:
            yield Copy(
                file=directory,
                entry=entry,
                kind=Kind.DIRECTORY,
                place=place,
                generation=GenerationId(0),
                size=0,
                mtime_ns=0,
                mode=0,
                rev="",
                made=made,
                found=not made,
            )


def _can_be_reached(order: Put | Move, copies: Copies) -> bool:
    """Whether the directories above the order's place are there, or are those that it will make, no more and no less;
    and none of them is below what is moved."""
    entry = order.entry
    to_make = {directory for directory in order.missing if copies.get(directory, entry) is None}
    parent = order.place.parent
    while parent not in (ROOT_FILE, PARKING):
        if parent == order.file:
            return False
        above = copies.get(parent, entry)
        if above is not None:
            parent = above.place.parent
            continue
        place = copies.put_place(entry, parent)
        if parent not in to_make or place is None or copies.at(entry, place) is not None:
            return False
        to_make.discard(parent)
        parent = place.parent
    return not to_make


def _confirmed(copy: Copy, state: RemoteState | None, verified_ns: int) -> Copy:
    if state is None:
        return replace(copy, verified_ns=verified_ns)
    return replace(
        copy,
        rev=state.rev,
        remote_id=state.remote_id or copy.remote_id,
        digest=state.digest or copy.digest,
        verified_ns=verified_ns,
    )


def _now(copy: Copy, copies: Copies) -> Copy:
    """The Copy as it is now: while the order ran, the directory it stands in may have been taken over."""
    return copies.get(copy.file, copy.entry) or copy


def _maybe(copy: Copy | None, copies: Copies) -> tuple[Copy, ...]:
    return () if copy is None else (_now(copy, copies),)
