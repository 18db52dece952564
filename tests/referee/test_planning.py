"""What a plan says of one file is what reconcile.py would order, and the sums are right."""

from dataclasses import replace

import pytest

from onitufs.model.copies import Copy, Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.model.orders import Delete
from onitufs.model.state import Abilities, EntryView, FileState
from onitufs.model.verdicts import Verdict
from onitufs.referee.planning import EXAMPLES, Plan, Planned, planned
from onitufs.referee.reconcile import orders_for

A, B, OLD = EntryName("a"), EntryName("b"), EntryName("old")
FILE, NOW, BEFORE = FileId(20), GenerationId(30), GenerationId(25)
HERE = Place(ROOT_FILE, b"f")
KNOWN = {A, B}


def copy(entry: EntryName, generation: GenerationId = NOW, place: Place = HERE, *, found: bool = False) -> Copy:
    return Copy(
        file=FILE, entry=entry, kind=Kind.FILE, place=place, generation=generation, size=7, mtime_ns=0, mode=0o644,
        rev="r", found=found,
    )  # fmt: skip


def state(*copies: Copy, targets: tuple[EntryName, ...] = (A, B), **more: object) -> FileState:
    held = {one.entry: one for one in copies}
    verdict = Verdict(targets, (), copies=more.pop("copies", None), banned=frozenset(more.pop("banned", ())))  # type: ignore[arg-type]
    views = {
        name: EntryView(entry=name, ours=name in KNOWN, abilities=Abilities(symlinks=name == A), copy=held.get(name))
        for name in dict.fromkeys((*targets, *held))
    }
    given = FileState(
        file=FILE, kind=Kind.FILE, alive=True, generation=NOW, size=7, place=HERE, verdict=verdict, views=views
    )
    return replace(given, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (state(), Planned(copied=(A, B))),
        (state(copy(A), copy(B)), Planned()),
        (state(copy(A), copy(B, BEFORE)), Planned(copied=(B,))),
        (state(copy(A), copy(B, place=Place(ROOT_FILE, b"g"))), Planned(moved=(B,))),
        (state(copy(A), copy(B), targets=(A,)), Planned(trashed=(B,))),
        (state(copy(A), copy(B, found=True), targets=(A,)), Planned(found=(B,))),
        (state(copy(A), copy(B, found=True), targets=(A,), banned=(B,)), Planned(trashed=(B,))),
        (state(copy(A), copy(B), targets=()), Planned(trashed=(A, B), only_here=True)),
        (state(copy(A), copy(OLD), targets=(A,)), Planned(left=(OLD,))),
        (state(copy(A, BEFORE), copy(OLD), targets=(A,)), Planned(copied=(A,), left=(OLD,), last=(OLD,))),
        (state(copy(OLD, BEFORE), targets=(A,)), Planned(copied=(A,), left=(OLD,))),
        (state(copy(B), copies=1), Planned()),
        (state(copies=3), Planned(copied=(A, B), missing=1)),
        (state(kind=Kind.SYMLINK, target=b"x"), Planned(copied=(A,), cannot=(B,))),
        (state(copy(A), copy(OLD), alive=False, verdict=None), Planned(trashed=(A,), left=(OLD,))),
    ],
)
def test_what_is_to_come(given: FileState, expected: Planned) -> None:
    assert planned(given, KNOWN) == expected


def test_sums_are_of_what_is_carried_or_taken_away() -> None:
    plan = Plan([A, B], ["rules[0]", "rules[1]"])
    for number in range(EXAMPLES + 2):
        grown = state(copy(A, BEFORE), copy(B), targets=(A,), size=100)
        plan.add(b"/%d" % number, grown, planned(grown, KNOWN))
        plan.matched(["rules[1]", "never"])
    copied, trashed = plan.entries[A].copied, plan.entries[B].trashed
    assert (copied.files, copied.size, len(copied.examples)) == (EXAMPLES + 2, 100 * (EXAMPLES + 2), EXAMPLES)
    assert (trashed.files, trashed.size) == (EXAMPLES + 2, 7 * (EXAMPLES + 2))
    assert plan.rules == {"rules[0]": 0, "rules[1]": EXAMPLES + 2}
    assert (plan.files, plan.only_here.files) == (EXAMPLES + 2, 0)


def deleted(given: FileState) -> set[EntryName]:
    return {order.entry for order in orders_for(given, 100.0).orders if isinstance(order, Delete)}


def test_bytes_that_are_not_here_are_not_taken_away_from_where_they_are() -> None:
    """Two entries that both hold them and are both not wanted must not rely on each other."""
    assert deleted(state(copy(A), copy(B), targets=())) == {A, B}
    both = state(copy(A), copy(B), targets=(), absent=True)
    assert deleted(both) == set()
    decision = orders_for(both, 100.0)
    assert (decision.bring, decision.settled, decision.problems) == (True, False, ())
    assert deleted(state(copy(A), copy(B, BEFORE), targets=(), absent=True)) == {B}
    assert deleted(state(copy(A), copy(B), targets=(A,), absent=True)) == {B}
    assert deleted(state(copy(A), copy(B, found=True), targets=(), absent=True)) == {A}
    assert deleted(state(copy(A, BEFORE), copy(B), targets=(A,), absent=True)) == set()
