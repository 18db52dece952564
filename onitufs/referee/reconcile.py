"""From one file's want and have to orders. A pure function, asked again after every event.

What it lives by:

- A Put never waits. Moves and deletions wait until the file's name has rested for `settle_s`, because most programs
  save by a little dance of renames, of which only the end matters.
- Who wants a place at which another file's Copy still stands takes that remote object over (Put.replaces): it is an
  update of the object, whatever the program did. So swaps, chains and cycles of files need no order among themselves.
- Directories cannot be taken over that way while both live. Whoever stands where it may not stay (EntryView.in_the_way)
  and cannot go home yet waits in the entry's parking directory. So nobody waits in a circle, and nobody waits for
  something that only another entry can bring about.
- A directory that took the place of a dead one takes over its Copy with all that stands in it.
- The Copy of a living file goes last: after each entry that is to hold the file holds what it is now.
"""

from dataclasses import dataclass

from onitufs.model.copies import Copy, Place
from onitufs.model.files import Kind
from onitufs.model.ids import PARKING, ROOT_FILE, EntryName, FileId
from onitufs.model.orders import Delete, Move, Order, Put, SetAttributes
from onitufs.model.state import Decision, EntryView, FileState, Occupant

SETTLE_S = 2.0
"""How long a name rests before its Copies are moved or deleted."""

_PERMISSIONS = 0o777
_OWNERS = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What is to be done on one entry now; `open`: want is not have yet."""

    order: Order | None = None
    wait_s: float | None = None
    waits_for: tuple[FileId, ...] = ()
    needs: FileId | None = None
    problem: str = ""
    bring: bool = False
    open: bool = True


_NOTHING = _Step(open=False)
_NOT_YET = _Step()


def orders_for(state: FileState, now_s: float, settle_s: float = SETTLE_S) -> Decision:
    """What to do about `state.file` at `now_s`. See Decision for how each part of the answer is to be used."""
    required = required_entries(state)
    rests_in_s = settles_in(state, now_s, settle_s)
    steps = [
        (view.entry, _after_refusal(view, _step(state, view, required, rests_in_s))) for view in state.views.values()
    ]
    waits = [step.wait_s for _, step in steps if step.wait_s is not None]
    settled = not any(step.open for _, step in steps)
    return Decision(
        orders=tuple(step.order for _, step in steps if step.order is not None),
        wait_s=min(waits, default=None),
        settled=settled,
        gone=settled and not state.alive and all(view.copy is None for view in state.views.values()),
        only_here=state.alive and state.kind is not Kind.DIRECTORY and not required and not _is_kept(state),
        required=required,
        waits_for=tuple(dict.fromkeys(file for _, step in steps for file in step.waits_for)),
        needs=tuple((entry, step.needs) for entry, step in steps if step.needs is not None),
        problems=tuple(f"{entry}: {step.problem}" for entry, step in steps if step.problem),
        bring=any(step.bring for _, step in steps),
    )


def _is_kept(state: FileState) -> bool:
    """Whether an entry holds the file as it is, though no rule says so."""
    return any(
        view.copy is not None and view.copy.found and is_current(state, view.copy) for view in state.views.values()
    )


def required_entries(state: FileState) -> tuple[EntryName, ...]:
    """The entries that are to hold the file, in the order of the rules.

    Of a verdict with `copies`, entries that have a Copy are preferred to those that have not, so that a file is not
    carried about when the list of entries grows; otherwise the first ones are taken.
    """
    if not state.alive or state.verdict is None or state.place is None or state.kind is Kind.SPECIAL:
        return ()
    able = [name for name in state.verdict.targets if can_hold(state, state.views.get(name))]
    if state.verdict.copies is None:
        return tuple(able)
    held_first = sorted(able, key=lambda name: state.views[name].copy is None)
    chosen = held_first[: state.verdict.copies]
    return tuple(name for name in able if name in chosen)


def stays_inside(target: bytes, depth: int) -> bool:
    """Whether a symlink `depth` directories below the root certainly points into the tree.

    Only leading ".." are counted: one after a name may climb out through a link that the name stands for.
    """
    if target.startswith(b"/") or not target:
        return False
    parts = [part for part in target.split(b"/") if part not in (b"", b".")]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == b"..":
        climbs += 1
    return climbs <= depth and b".." not in parts[climbs:]


def parking_place(file: FileId) -> Place:
    """Where a Copy of this file waits when its place on an entry is taken and it cannot stay where it is."""
    return Place(PARKING, str(file).encode())


def settles_in(state: FileState, now_s: float, settle_s: float) -> float:
    """Seconds until the file's Copies may be moved or deleted; 0 or less: now."""
    return state.changed_s + settle_s - now_s


def is_current(state: FileState, copy: Copy) -> bool:
    """Whether a Copy, wherever it stands, holds what the file is now."""
    return state.kind is Kind.DIRECTORY or copy.generation == state.generation != 0


def may_drop(state: FileState, copy: Copy, required: tuple[EntryName, ...]) -> bool:
    """Whether a living file's Copy, where the rules do not want it, may go: no bytes are lost with it.

    Of a file whose bytes are not here, another entry has to hold them that is to go on holding them.
    """
    if state.kind is Kind.DIRECTORY or copy.generation == 0:
        return True
    if state.absent and is_current(state, copy) and not _is_held_elsewhere(state, copy, required):
        return False
    return _may_be_put(state) and all(_holds_for_sure(state, state.views[name]) for name in required)


def _is_held_elsewhere(state: FileState, copy: Copy, required: tuple[EntryName, ...]) -> bool:
    return any(
        view.ours and view.entry != copy.entry and is_wanted(state, view, required) and _holds_for_sure(state, view)
        for view in state.views.values()
    )


def is_wanted(state: FileState, view: EntryView, required: tuple[EntryName, ...]) -> bool:
    """Whether the file is to have a Copy here: the rules say so, or it was found here and none bans it. A directory
    also has one where something below it has, or needs one."""
    if not state.alive or state.place is None:
        return False
    if is_found(state, view) and not (state.verdict and view.entry in state.verdict.banned):
        return True
    below = state.kind is Kind.DIRECTORY and (view.child is not None or view.needed)
    return view.entry in required or below


def is_found(state: FileState, view: EntryView) -> bool:
    """Whether what others put here is this file's Copy, or stands at its name: many programs save a file by giving its
    name to a new one, and that goes where the file was found."""
    if view.copy is not None:
        return view.copy.found
    there = view.occupant
    return there is not None and there.copy.found and not view.missing and can_take_over(state, there)


def _holds_for_sure(state: FileState, view: EntryView) -> bool:
    return view.copy is not None and is_current(state, view.copy) and not view.running


def can_hold(state: FileState, view: EntryView | None) -> bool:
    """Whether an entry can have such a thing at all."""
    if view is None or not view.ours:
        return False
    return state.kind is not Kind.SYMLINK or (view.abilities.symlinks and stays_inside(state.target, state.depth))


def _may_be_put(state: FileState) -> bool:
    """Whether there is something whole and lasting to send."""
    return state.durable and state.complete and (state.kind is Kind.DIRECTORY or state.generation != 0)


def _step(state: FileState, view: EntryView, required: tuple[EntryName, ...], rests_in_s: float) -> _Step:
    if not view.ours or state.file == ROOT_FILE:
        return _NOTHING
    if view.running:
        return _NOT_YET
    wanted = is_wanted(state, view, required)
    if view.copy is None:
        return _put_new(state, view) if wanted else _NOTHING
    if not wanted:
        return _take_away(state, view, view.copy, required, rests_in_s)
    if view.copy.place == state.place:
        return _keep_current(state, view, view.copy)
    return _bring(state, view, view.copy, rests_in_s)


def _after_refusal(view: EntryView, step: _Step) -> _Step:
    if step.order is not None and step.order == view.refused:
        return _Step(problem=view.refusal or "refused")
    return step


def _withheld(state: FileState) -> _Step:
    return (
        _NOT_YET if state.complete else _Step(problem="not placed, a write to it failed and left holes: save it again")
    )


def _put_new(state: FileState, view: EntryView) -> _Step:
    """Nothing of this file is on the entry yet."""
    if not _may_be_put(state):
        return _withheld(state)
    occupant = view.occupant
    if occupant is None:
        return _Step(order=_put(state, view))
    if view.missing:
        return _room_above(view, occupant)
    if can_take_over(state, occupant):
        return _Step(order=_put(state, view, replaces=occupant.copy))
    return _Step(waits_for=(occupant.copy.file,))


def can_take_over(state: FileState, occupant: Occupant) -> bool:
    """Whether what stands at the wanted place can become this file's, of which the entry holds nothing or old bytes."""
    if state.kind is Kind.DIRECTORY:
        return occupant.copy.kind is Kind.DIRECTORY and not occupant.alive
    return occupant.copy.kind is not Kind.DIRECTORY and not occupant.needed


def _room_above(view: EntryView, occupant: Occupant) -> _Step:
    """A directory above is missing and its place is taken: by a dead directory, which it succeeds, or must wait."""
    if occupant.copy.kind is Kind.DIRECTORY and not occupant.alive:
        return _Step(needs=view.missing[0], waits_for=(view.missing[0],))
    return _Step(waits_for=(occupant.copy.file,))


def _keep_current(state: FileState, view: EntryView, copy: Copy) -> _Step:
    """The Copy is where it should be."""
    if not is_current(state, copy):
        return _Step(order=_put(state, view)) if _may_be_put(state) else _withheld(state)
    if state.kind is Kind.SYMLINK:
        return _NOTHING
    if state.kind is Kind.DIRECTORY:
        return _give_mode(state, view, copy)
    mode = state.mode & _PERMISSIONS if view.abilities.mode else copy.mode
    mtime_ns = state.mtime_ns if view.abilities.mtime else copy.mtime_ns
    if (mode, mtime_ns) == (copy.mode, copy.mtime_ns):
        return _NOTHING
    return _Step(order=SetAttributes(entry=view.entry, file=state.file, copy=copy, mode=mode, mtime_ns=mtime_ns))


def _give_mode(state: FileState, view: EntryView, copy: Copy) -> _Step:
    """A directory's mode. One that was there before us has its own (its Copy says 0 then); its owner, who is us, has
    all rights."""
    mode = state.mode & _PERMISSIONS
    if not (view.abilities.mode and copy.mode) or mode | _OWNERS == copy.mode | _OWNERS:
        return _NOTHING
    return _Step(order=SetAttributes(entry=view.entry, file=state.file, copy=copy, mode=mode, mtime_ns=copy.mtime_ns))


def _bring(state: FileState, view: EntryView, copy: Copy, rests_in_s: float) -> _Step:
    """The Copy is somewhere else."""
    occupant = view.occupant
    step: _Step | None = None
    replaces: Copy | None = None
    if view.below_itself:
        step = _Step(waits_for=view.below_itself)
    elif occupant is not None and view.missing:
        step = _room_above(view, occupant)
        if step.needs is not None:
            return step  # which may bring this Copy home without a move
    elif occupant is not None:
        both_files = state.kind is not Kind.DIRECTORY and occupant.copy.kind is not Kind.DIRECTORY
        if occupant.needed:
            step = _Step(waits_for=(occupant.copy.file,))
        elif both_files and not is_current(state, copy):
            if _may_be_put(state):
                return _Step(order=_put(state, view, replaces=occupant.copy))
            step = _withheld(state)
        elif both_files and not occupant.alive:
            replaces = occupant.copy
        else:
            step = _Step(waits_for=(occupant.copy.file,))
    if rests_in_s > 0:
        return _Step(wait_s=rests_in_s)
    if step is not None:
        return _park(view, copy) if view.in_the_way else step
    assert state.place is not None
    return _Step(
        order=Move(
            entry=view.entry, file=copy.file, copy=copy, place=state.place, replaces=replaces, missing=view.missing
        )
    )


def _take_away(
    state: FileState, view: EntryView, copy: Copy, required: tuple[EntryName, ...], rests_in_s: float
) -> _Step:
    """The entry is not to hold it."""
    if view.child is not None:
        return _Step(waits_for=(view.child,))
    if rests_in_s > 0:
        return _Step(wait_s=rests_in_s)
    if state.alive and not may_drop(state, copy, required):
        if view.in_the_way:
            return _park(view, copy)
        return _Step(bring=True) if state.absent and not required else _withheld(state)
    return _Step(order=Delete(entry=view.entry, file=state.file, copy=copy))


def _park(view: EntryView, copy: Copy) -> _Step:
    return _Step(order=Move(entry=view.entry, file=copy.file, copy=copy, place=parking_place(copy.file)))


def _put(state: FileState, view: EntryView, replaces: Copy | None = None) -> Put:
    assert state.place is not None
    return Put(
        entry=view.entry,
        file=state.file,
        kind=state.kind,
        place=state.place,
        generation=state.generation,
        size=0 if state.kind is Kind.DIRECTORY else state.size,
        mtime_ns=state.mtime_ns,
        mode=state.mode & _PERMISSIONS,
        target=state.target,
        had=view.copy,
        replaces=replaces,
        missing=view.missing,
    )
