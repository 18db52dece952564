"""What is ordered for one file in one situation: a table to read, one row a test."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from onitufs.model.copies import Copy, Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.model.orders import Delete, Move, Put, SetAttributes
from onitufs.model.state import Abilities, Decision, EntryView, FileState, Occupant
from onitufs.model.verdicts import Verdict
from onitufs.referee.reconcile import orders_for, parking_place, stays_inside

A, B, C = EntryName("A"), EntryName("B"), EntryName("C")
ME, OTHER, ABOVE, CHILD = FileId(100), FileId(200), FileId(300), FileId(400)
HOME, ELSEWHERE = Place(ROOT_FILE, b"home"), Place(ROOT_FILE, b"elsewhere")
NOW = GenerationId(50)
OLD = GenerationId(40)


def copy(file: FileId = ME, place: Place = HOME, generation: GenerationId = NOW, **more: object) -> Copy:
    fields = {"entry": A, "kind": Kind.FILE, "size": 3, "mtime_ns": 5, "mode": 0o644, "rev": "r", **more}
    return Copy(file=file, place=place, generation=generation, **fields)  # type: ignore[arg-type]


def directory(file: FileId = ME, place: Place = HOME, **more: object) -> Copy:
    return copy(file, place, GenerationId(0), kind=Kind.DIRECTORY, made=True, **more)


def view(entry: EntryName = A, **more: object) -> EntryView:
    return EntryView(entry=entry, **more)  # type: ignore[arg-type]


def state(
    *views: EntryView, targets: tuple[EntryName, ...] = (A,), copies: int | None = None, **more: object
) -> FileState:
    """A living, whole, durable file whose name has rested, wanted on A."""
    fields: Mapping[str, object] = {
        "kind": Kind.FILE,
        "alive": True,
        "generation": NOW,
        "size": 3,
        "mtime_ns": 5,
        "mode": 0o100644,
        "place": HOME,
        "verdict": Verdict(targets, (), copies),
        "views": {each.entry: each for each in views},
        **more,
    }
    return FileState(file=ME, **fields)  # type: ignore[arg-type]


def dead(*views: EntryView, **more: object) -> FileState:
    return state(*views, alive=False, place=None, verdict=None, **more)


def decide(of: FileState, now_s: float = 100.0) -> Decision:
    return orders_for(of, now_s)


JUST_RENAMED = {"changed_s": 99.0}


# -- putting ----------------------------------------------------------------------------------------------------------


def test_a_new_file_is_put_at_once() -> None:
    decision = decide(state(view(missing=(ABOVE,)), **JUST_RENAMED))
    (order,) = decision.orders
    assert isinstance(order, Put)
    assert (order.place, order.generation, order.missing, order.had, order.replaces) == (
        HOME,
        NOW,
        (ABOVE,),
        None,
        None,
    )
    assert order.mode == 0o644
    assert not decision.settled


def test_a_file_saved_again_is_put_over_its_copy() -> None:
    had = copy(generation=OLD)
    (order,) = decide(state(view(copy=had), **JUST_RENAMED)).orders
    assert isinstance(order, Put)
    assert order.had == had
    assert order.replaces is None


def test_a_file_in_its_place_is_settled() -> None:
    decision = decide(state(view(copy=copy())))
    assert (decision.orders, decision.settled, decision.only_here, decision.required) == ((), True, False, (A,))


@pytest.mark.parametrize("lacking", [{"durable": False}, {"generation": GenerationId(0)}, {"complete": False}])
def test_what_is_not_whole_and_lasting_is_not_put(lacking: dict[str, object]) -> None:
    for views in (view(), view(copy=copy(generation=OLD))):
        decision = decide(state(views, **lacking))
        assert decision.orders == ()
        assert not decision.settled


def test_a_file_with_holes_is_a_problem_for_people() -> None:
    (problem,) = decide(state(view(), complete=False)).problems
    assert problem.startswith("A: ")
    assert "save it again" in problem


def test_who_takes_a_name_takes_over_the_object() -> None:
    """Write a temporary file, rename it over the old one: one update of the remote object, at once."""
    old = copy(OTHER, generation=OLD)
    for alive in (False, True):
        (order,) = decide(state(view(occupant=Occupant(copy=old, alive=alive)), **JUST_RENAMED)).orders
        assert isinstance(order, Put)
        assert order.replaces == old


def test_what_may_be_the_only_copy_of_a_living_file_is_not_taken_over() -> None:
    needed = Occupant(copy=copy(OTHER), alive=True, needed=True)
    for mine in (None, copy(place=ELSEWHERE, generation=OLD)):
        decision = decide(state(view(copy=mine, occupant=needed)))
        assert (decision.orders, decision.waits_for, decision.settled) == ((), (OTHER,), False)


def test_a_found_name_is_kept_by_whoever_has_it_in_the_mount() -> None:
    """No rule names the entry: an editor's new file goes where the old one was found, and a ban ends that."""
    nowhere = Verdict(targets=(), reasons=())
    found = Occupant(copy=replace(copy(OTHER, generation=OLD), found=True), alive=False)
    (order,) = decide(state(view(occupant=found), verdict=nowhere)).orders
    assert isinstance(order, Put)
    assert order.replaces == found.copy
    banned = replace(nowhere, banned=frozenset({order.entry}))
    assert decide(state(view(occupant=found), verdict=banned)).orders == ()


def test_a_takeover_with_a_copy_elsewhere_names_both() -> None:
    mine, old = copy(place=ELSEWHERE, generation=OLD), copy(OTHER)
    (order,) = decide(state(view(copy=mine, occupant=Occupant(copy=old, alive=True)), **JUST_RENAMED)).orders
    assert isinstance(order, Put)
    assert (order.had, order.replaces) == (mine, old)


# -- moving -----------------------------------------------------------------------------------------------------------


def test_a_rename_waits_until_the_name_has_rested() -> None:
    of = state(view(copy=copy(place=ELSEWHERE)), changed_s=99.0)
    waiting = decide(of, now_s=100.0)
    assert (waiting.orders, waiting.settled) == ((), False)
    assert waiting.wait_s == pytest.approx(1.0)
    (order,) = decide(of, now_s=101.0).orders
    assert isinstance(order, Move)
    assert order.place == HOME


def test_a_rename_over_a_dead_file_needs_no_transfer() -> None:
    mine, old = copy(place=ELSEWHERE), copy(OTHER, generation=OLD)
    (order,) = decide(state(view(copy=mine, occupant=Occupant(copy=old, alive=False)))).orders
    assert isinstance(order, Move)
    assert order.replaces == old


def test_a_rename_to_where_a_living_file_still_stands_waits_for_it() -> None:
    mine, other = copy(place=ELSEWHERE), copy(OTHER)
    decision = decide(state(view(copy=mine, occupant=Occupant(copy=other, alive=True))))
    assert (decision.orders, decision.waits_for, decision.settled) == ((), (OTHER,), False)


def test_who_is_in_the_way_and_cannot_go_home_parks() -> None:
    mine, other = copy(place=ELSEWHERE), copy(OTHER)
    (order,) = decide(state(view(copy=mine, occupant=Occupant(copy=other, alive=True), in_the_way=True))).orders
    assert isinstance(order, Move)
    assert order.place == parking_place(ME)


def test_a_directory_is_not_moved_into_itself() -> None:
    mine = directory(place=ELSEWHERE)
    of = state(view(copy=mine, below_itself=(ABOVE,)), kind=Kind.DIRECTORY, generation=GenerationId(0))
    decision = decide(of)
    assert (decision.orders, decision.waits_for) == ((), (ABOVE,))


def test_a_new_directory_succeeds_a_dead_one_with_all_in_it() -> None:
    old = directory(OTHER)
    of = state(view(occupant=Occupant(copy=old, alive=False)), kind=Kind.DIRECTORY, generation=GenerationId(0))
    (order,) = decide(of).orders
    assert isinstance(order, Put)
    assert order.replaces == old


def test_below_a_dead_directory_its_successor_is_needed_first() -> None:
    decision = decide(state(view(missing=(ABOVE,), occupant=Occupant(copy=directory(OTHER), alive=False))))
    assert (decision.orders, decision.needs, decision.waits_for) == ((), ((A, ABOVE),), (ABOVE,))


def test_a_directory_and_a_file_never_take_each_other_over() -> None:
    file, folder = copy(OTHER), directory(OTHER)
    for_file = decide(state(view(occupant=Occupant(copy=folder, alive=False))))
    of = state(view(occupant=Occupant(copy=file, alive=False)), kind=Kind.DIRECTORY, generation=GenerationId(0))
    for decision in (for_file, decide(of)):
        assert (decision.orders, decision.waits_for) == ((), (OTHER,))


# -- taking away ------------------------------------------------------------------------------------------------------


def test_a_dead_file_is_deleted_after_a_rest() -> None:
    of = dead(view(copy=copy()), changed_s=99.0)
    assert decide(of, now_s=100.0).orders == ()
    (order,) = decide(of, now_s=101.0).orders
    assert isinstance(order, Delete)


def test_a_dead_file_without_copies_is_gone() -> None:
    assert decide(dead()).gone
    assert not decide(dead(view(copy=copy()))).gone


def test_the_last_copy_stays_until_the_others_hold_it() -> None:
    unwanted = view(copy=copy())
    for held in (None, copy(entry=B, generation=OLD)):
        decision = decide(state(unwanted, view(B, copy=held), targets=(B,)))
        assert [order.entry for order in decision.orders] == [B]
    current = view(B, copy=copy(entry=B))
    (order,) = decide(state(unwanted, current, targets=(B,))).orders
    assert isinstance(order, Delete)
    assert decide(state(unwanted, replace(current, running=True), targets=(B,))).orders == ()


def test_what_a_takeover_left_behind_may_go_at_once() -> None:
    left = view(copy=copy(generation=GenerationId(0)))
    decision = decide(state(left, view(B), targets=(B,)))
    assert {type(order) for order in decision.orders} == {Delete, Put}


def test_a_directory_goes_after_what_is_in_it() -> None:
    decision = decide(dead(view(copy=directory(), child=CHILD), kind=Kind.DIRECTORY))
    assert (decision.orders, decision.waits_for) == ((), (CHILD,))


def test_a_directory_is_wanted_where_something_in_it_is() -> None:
    of = state(view(copy=directory(), child=CHILD), targets=(), kind=Kind.DIRECTORY, generation=GenerationId(0))
    assert decide(of).settled
    (order,) = decide(replace(of, views={A: view(copy=directory())})).orders
    assert isinstance(order, Delete)


# -- entries and rules ------------------------------------------------------------------------------------------------


def test_nothing_is_ordered_where_nothing_may_be() -> None:
    """A read-only entry, or one that the setup no longer names: Copies there stay, alive or dead."""
    elsewhere = view(copy=copy(), ours=False)
    assert decide(state(elsewhere, targets=())).settled
    decision = decide(dead(elsewhere))
    assert (decision.orders, decision.settled, decision.gone) == ((), True, False)


def test_nothing_is_ordered_or_settled_while_an_order_runs() -> None:
    for of in (state(view(running=True)), state(view(copy=copy(), running=True)), dead(view(running=True))):
        decision = decide(of)
        assert (decision.orders, decision.settled, decision.gone) == ((), False, False)


def test_an_order_refused_for_good_is_not_given_again_until_it_is_another() -> None:
    (order,) = decide(state(view())).orders
    refused = view(refused=order, refusal="name not allowed")
    decision = decide(state(refused))
    assert (decision.orders, decision.settled, decision.problems) == ((), False, ("A: name not allowed",))
    assert len(decide(state(refused, generation=GenerationId(60))).orders) == 1


def test_of_several_entries_as_many_hold_it_as_the_rule_asks_for() -> None:
    nobody = decide(state(view(A), view(B), view(C), targets=(A, B, C), copies=2))
    assert nobody.required == (A, B)
    held = decide(state(view(A), view(B), view(C, copy=copy(entry=C)), targets=(A, B, C), copies=2))
    assert held.required == (A, C)


def test_no_rule_means_only_here() -> None:
    decision = decide(state(targets=()))
    assert (decision.settled, decision.only_here) == (True, True)
    assert not decide(state(targets=(), kind=Kind.DIRECTORY)).only_here


def test_devices_and_fifos_stay_here() -> None:
    decision = decide(state(view(), kind=Kind.SPECIAL))
    assert (decision.orders, decision.settled, decision.only_here) == ((), True, True)


def test_a_symlink_is_placed_as_one_where_the_entry_can_and_it_stays_inside() -> None:
    can, cannot = view(abilities=Abilities(symlinks=True)), view()
    link = {"kind": Kind.SYMLINK, "target": b"../x", "depth": 1}
    (order,) = decide(state(can, **link)).orders
    assert isinstance(order, Put)
    assert order.target == b"../x"
    for of in (state(cannot, **link), state(can, **{**link, "depth": 0})):
        decision = decide(of)
        assert (decision.orders, decision.settled, decision.only_here) == ((), True, True)


@pytest.mark.parametrize(
    ("target", "depth", "inside"),
    [
        (b"x", 0, True),
        (b"./x/./y", 0, True),
        (b"../x", 1, True),
        (b"../../x", 1, False),
        (b"/etc/passwd", 5, False),
        (b"x/../../y", 5, False),  # x may itself be a link
        (b"", 0, False),
        (b"..", 1, True),
    ],
)
def test_where_a_symlink_leads(target: bytes, depth: int, inside: bool) -> None:
    assert stays_inside(target, depth) is inside


@pytest.mark.parametrize(
    ("abilities", "change", "ordered"),
    [
        (Abilities(mode=True), {"mode": 0o100600}, True),
        (Abilities(mtime=True), {"mtime_ns": 6}, True),
        (Abilities(mtime=True), {"mode": 0o100600}, False),
        (Abilities(mode=True), {"mtime_ns": 6}, False),
        (Abilities(mode=True), {"mode": 0o104644}, False),  # set-user-id is not for entries
    ],
)
def test_attributes_go_only_to_entries_that_keep_them(
    abilities: Abilities, change: dict[str, object], ordered: bool
) -> None:
    decision = decide(state(view(copy=copy(), abilities=abilities), **change))
    assert [type(order) for order in decision.orders] == [SetAttributes] * ordered
    assert decision.settled is not ordered
