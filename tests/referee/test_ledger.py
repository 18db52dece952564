"""What the Copies are after an outcome, one row a test; and which orders are out of date."""

from dataclasses import replace

from onitufs.model.copies import Copy, Place, RemoteState
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.model.orders import Delete, Done, Move, Order, Put, SetAttributes
from onitufs.referee import ledger

A = EntryName("A")
ME, OTHER, FOLDER, CHILD = FileId(100), FileId(200), FileId(300), FileId(400)
HOME, ELSEWHERE = Place(ROOT_FILE, b"home"), Place(ROOT_FILE, b"elsewhere")
STATE = RemoteState(rev="new", remote_id="id", digest=b"d")


class Copies:
    """Real records in a dict."""

    def __init__(self, *copies: Copy, places: dict[FileId, Place] | None = None) -> None:
        self.copies = {copy.file: copy for copy in copies}
        self.places = places or {}

    def get(self, file: FileId, entry: EntryName) -> Copy | None:
        return self.copies.get(file)

    def at(self, entry: EntryName, place: Place) -> Copy | None:
        return next((copy for copy in self.copies.values() if copy.place == place), None)

    def children(self, entry: EntryName, directory: FileId) -> list[Copy]:
        return [copy for copy in self.copies.values() if copy.place.parent == directory]

    def put_place(self, entry: EntryName, directory: FileId) -> Place | None:
        return self.places.get(directory)


def copy(file: FileId = ME, place: Place = HOME, kind: Kind = Kind.FILE, **more: object) -> Copy:
    fields = {"generation": GenerationId(40), "size": 1, "mtime_ns": 2, "mode": 0o600, "rev": "old", **more}
    return Copy(file=file, entry=A, kind=kind, place=place, **fields)  # type: ignore[arg-type]


def put(**more: object) -> Put:
    fields = {"kind": Kind.FILE, "place": HOME, "size": 3, "mtime_ns": 5, "mode": 0o644, **more}
    return Put(entry=A, file=ME, generation=GenerationId(50), **fields)  # type: ignore[arg-type]


def test_a_put_is_recorded_as_ordered_and_confirmed() -> None:
    changes = ledger.apply(Done(order=put(), state=STATE), Copies(), verified_ns=7)
    assert changes.put == (
        copy(
            generation=GenerationId(50),
            size=3,
            mtime_ns=5,
            mode=0o644,
            rev="new",
            remote_id="id",
            digest=b"d",
            verified_ns=7,
        ),
    )
    assert (changes.removed, changes.ask) == ((), (ME,))


def test_a_takeover_leaves_the_other_without_a_copy() -> None:
    other = copy(OTHER)
    changes = ledger.apply(Done(order=put(replaces=other), state=STATE), Copies(other))
    assert changes.removed == (other,)
    assert [new.file for new in changes.put] == [ME]
    assert changes.ask == (ME, OTHER)


def test_a_takeover_with_a_copy_elsewhere_leaves_the_other_that_one_as_nobodys_bytes() -> None:
    mine, other = copy(place=ELSEWHERE, rev="mine"), copy(OTHER)
    changes = ledger.apply(Done(order=put(replaces=other, had=mine), state=STATE), Copies(mine, other))
    new, left = changes.put
    assert (new.file, new.place, new.rev) == (ME, HOME, "new")
    assert left == replace(mine, file=OTHER, generation=GenerationId(0))
    assert changes.removed == ()


def test_a_directory_that_succeeds_a_dead_one_gets_all_that_is_in_it() -> None:
    old, child = copy(OTHER, kind=Kind.DIRECTORY, made=True), copy(CHILD, Place(OTHER, b"c"))
    order = put(kind=Kind.DIRECTORY, replaces=old)
    changes = ledger.apply(Done(order=order, state=STATE, made=((ME, False),)), Copies(old, child))
    new, moved = changes.put
    assert (new.file, new.made) == (ME, True)
    assert moved == replace(child, place=Place(ME, b"c"))
    assert changes.removed == (old,)
    assert set(changes.ask) == {ME, OTHER, CHILD}


def test_whether_a_directory_was_made_or_found_is_kept() -> None:
    for made in (True, False):
        done = Done(order=put(kind=Kind.DIRECTORY), state=STATE, made=((ME, made),))
        (new,) = ledger.apply(done, Copies()).put
        assert new.made is made


def test_directories_made_on_the_way_are_recorded_once() -> None:
    order = put(place=Place(FOLDER, b"x"), missing=(FOLDER,))
    done = Done(order=order, state=STATE, made=((FOLDER, True),))
    above, _ = ledger.apply(done, Copies(places={FOLDER: HOME})).put
    assert (above.file, above.place, above.kind, above.made) == (FOLDER, HOME, Kind.DIRECTORY, True)
    found_by_another = copy(FOLDER, kind=Kind.DIRECTORY)
    first, _ = ledger.apply(done, Copies(found_by_another)).put
    assert first == replace(found_by_another, made=True)
    changes = ledger.apply(replace(done, made=((FOLDER, False),)), Copies(replace(found_by_another, made=True)))
    assert [new.file for new in changes.put] == [ME]
    assert FOLDER in changes.ask


def test_a_move_changes_the_place_only() -> None:
    mine, dead = copy(place=Place(FOLDER, b"x")), copy(OTHER)
    changes = ledger.apply(
        Done(order=Move(entry=A, file=ME, copy=mine, place=HOME, replaces=dead), state=RemoteState(rev="r2")),
        Copies(mine, dead),
    )
    assert changes.put == (replace(mine, place=HOME, rev="r2"),)
    assert changes.removed == (dead,)
    assert set(changes.ask) == {ME, OTHER, FOLDER}


def test_a_delete_takes_the_copy_and_asks_about_the_directory() -> None:
    mine = copy(place=Place(FOLDER, b"x"))
    changes = ledger.apply(Done(order=Delete(entry=A, file=ME, copy=mine), state=None), Copies(mine))
    assert (changes.removed, changes.ask) == ((mine,), (ME, FOLDER))


def test_a_directory_that_remains_is_forgotten_unless_something_of_ours_is_in_it() -> None:
    mine, child = copy(kind=Kind.DIRECTORY), copy(CHILD, Place(ME, b"c"))
    done = Done(order=Delete(entry=A, file=ME, copy=mine), state=None, remains=True)
    assert ledger.apply(done, Copies(mine)).removed == (mine,)
    changes = ledger.apply(done, Copies(mine, child))
    assert (changes.removed, changes.put, changes.ask) == ((), (), (ME,))


def test_what_changed_while_the_order_ran_is_not_undone() -> None:
    """The directory was taken over by another one meanwhile: the record of what is deleted stands in that now."""
    then = copy(place=Place(OTHER, b"x"))
    now = replace(then, place=Place(FOLDER, b"x"))
    changes = ledger.apply(Done(order=Delete(entry=A, file=ME, copy=then), state=None), Copies(now))
    assert (changes.removed, changes.ask) == ((now,), (ME, FOLDER))


def test_attributes() -> None:
    mine = copy()
    order = SetAttributes(entry=A, file=ME, copy=mine, mode=0o640, mtime_ns=9)
    (new,) = ledger.apply(Done(order=order, state=RemoteState(rev="r2")), Copies(mine)).put
    assert new == replace(mine, mode=0o640, mtime_ns=9, rev="r2")


def test_an_order_fits_only_the_copies_that_it_was_made_from() -> None:
    mine, other = copy(), copy(OTHER, ELSEWHERE)
    changed = replace(mine, rev="another")
    delete = Delete(entry=A, file=ME, copy=mine)
    move = Move(entry=A, file=ME, copy=mine, place=ELSEWHERE)
    cases: list[tuple[Order, Copies, bool]] = [
        (put(), Copies(), True),
        (put(), Copies(mine), False),
        (put(), Copies(copy(OTHER)), False),
        (put(had=mine), Copies(mine), True),
        (put(had=mine), Copies(changed), False),
        (put(had=mine), Copies(), False),
        (put(replaces=copy(OTHER)), Copies(copy(OTHER)), True),
        (put(replaces=copy(OTHER)), Copies(), False),
        (delete, Copies(mine), True),
        (delete, Copies(changed), False),
        (delete, Copies(), False),
        (move, Copies(mine), True),
        (move, Copies(mine, other), False),
        (replace(move, replaces=other), Copies(mine, other), True),
        (SetAttributes(entry=A, file=ME, copy=mine, mode=0, mtime_ns=0), Copies(changed), False),
    ]
    for order, copies, fits in cases:
        assert ledger.fits(order, copies) is fits, order


def test_an_order_fits_only_where_its_place_can_be_reached_as_it_says() -> None:
    inside = Place(FOLDER, b"x")
    folder = copy(FOLDER, kind=Kind.DIRECTORY)
    deeper = {FOLDER: Place(OTHER, b"f"), OTHER: HOME}
    cases = [
        (put(place=inside), Copies(folder), True),
        (put(place=inside), Copies(), False),
        (put(place=inside, missing=(FOLDER,)), Copies(places={FOLDER: HOME}), True),
        (put(place=inside, missing=(FOLDER,)), Copies(folder), True),  # another order made it meanwhile
        (put(place=inside, missing=(FOLDER,)), Copies(), False),  # it is dead
        (put(place=inside, missing=(FOLDER,)), Copies(copy(CHILD), places={FOLDER: HOME}), False),
        (put(place=inside, missing=(FOLDER,)), Copies(places=deeper), False),
        (put(place=inside, missing=(OTHER, FOLDER)), Copies(places=deeper), True),
        (put(place=inside, missing=(OTHER, FOLDER)), Copies(places={FOLDER: HOME, OTHER: ELSEWHERE}), False),
    ]
    for order, copies, fits in cases:
        assert ledger.fits(order, copies) is fits, order


def test_a_directory_does_not_fit_into_itself() -> None:
    mine = copy(kind=Kind.DIRECTORY)
    below = copy(FOLDER, Place(ME, b"f"), kind=Kind.DIRECTORY)
    move = Move(entry=A, file=ME, copy=mine, place=Place(FOLDER, b"x"))
    assert not ledger.fits(move, Copies(mine, below))
