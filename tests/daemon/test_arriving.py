"""What others do on an entry is judged only where no order of ours is under way."""

import time
from dataclasses import replace

import pytest
import trio

from onitufs.daemon.facts import Facts
from onitufs.daemon.intake.arriving import Arriving
from onitufs.daemon.intake.feed import Feed
from onitufs.daemon.intake.intake import Intake
from onitufs.daemon.intake.outside import Outside
from onitufs.daemon.memory import Memory
from onitufs.daemon.placing import Placing
from onitufs.drivers.handlers import PARKED
from onitufs.model.copies import Place, RemoteState
from onitufs.model.files import Kind
from onitufs.model.ids import PARKING, ROOT_FILE, ROOT_INODE, EntryName
from onitufs.model.orders import Delete, Done, Put
from onitufs.model.rules import Match, Rule
from onitufs.referee.rules import Rulebook

A = EntryName("a")


class Looking:
    """The entry "a", on which the file "g" stands, and who takes in what others do there."""

    def __init__(self, far):
        self.far = far
        self.volume = far.volume
        self.again = []
        self.listed = []
        self.suspected = []
        rulebook = Rulebook((Rule(match=Match(paths=("/",)), sync=(A,), source="rules[0]"),), [A], ())
        self.memory = Memory()
        self.placing = Placing(Facts(far.volume, far.placements, rulebook, {}, self.memory), far.plugs)
        self.placing.suspect = lambda copy: not self.suspected.append(copy)
        self.outside = Outside(A, far.plugs[A], self.placing, lambda parent, name: None)
        self.arriving = Arriving(
            self.outside, look_again=self.again.append, list_again=self.listed.append, missing=lambda copy: None
        )
        self.file = self.volume.peek(far.adopt(b"one", b"g")).files[0]
        self.service = far.services[A]
        changes = {}
        far.placements.write(changes, put=[replace(self.copy, remote_id=self.service.nodes[b"g",].id)])
        far.life.catalog.commit(changes)

    def intake(self):
        feed = Feed(known=lambda: None, remember=lambda cursor: None, identity=lambda: None, now_s=time.time)
        return Intake(
            self.outside, ask_user=pytest.fail, pace=lambda worked_s: 0.0, room_to_tell=trio.lowlevel.checkpoint,
            feed=feed,
        )  # fmt: skip

    @property
    def copy(self):
        return self.far.placements.of(self.file)[A]


@pytest.fixture
async def looking(one):
    async with one.running():
        yield Looking(one)


async def test_what_others_moved_is_followed(looking):
    looking.service.move((b"g",), (b"h",))
    await looking.arriving.look((b"h",))
    assert looking.copy.place == Place(ROOT_FILE, b"h")
    assert looking.volume.path(looking.file) == b"/h"
    assert looking.again == []


async def test_but_not_while_an_order_for_it_is_under_way(looking):
    """It ends as if the Copy it began with still were all there is: a new one would be lost with it."""
    before = looking.copy
    order = Delete(entry=A, file=looking.file, copy=before)
    looking.memory.started(order)
    looking.service.move((b"g",), (b"h",))
    await looking.arriving.look((b"h",))
    assert looking.copy == before
    assert looking.volume.path(looking.file) == b"/g"
    assert looking.again == [(b"h",)]
    looking.memory.ended(order)
    await looking.arriving.look((b"h",))
    assert looking.copy.place == Place(ROOT_FILE, b"h")


def put(file, kind, place, missing=()):
    return Put(
        entry=A, file=file, kind=kind, place=place, generation=0, size=0, mtime_ns=0, mode=0o755, missing=missing
    )


@pytest.mark.parametrize("made", [False, True], ids=["others made it", "we made it"])
@pytest.mark.parametrize("itself", [True, False], ids=["placed itself", "on the way to a file"])
async def test_what_is_in_a_directory_that_an_order_met_is_looked_at(looking, itself, made):
    """What others moved there with it has been told by no name of its own, and with its directory known will not be."""
    volume = looking.volume
    inode = volume.make_directory(ROOT_INODE, b"d", 0o755, 0, 0)
    directory = inode.files[0]
    place = Place(ROOT_FILE, b"d")
    order = put(directory, Kind.DIRECTORY, place)
    if not itself:
        link = volume.make_symlink(inode.number, b"link", b"to", 0, 0).files[0]
        order = put(link, Kind.SYMLINK, Place(directory, b"link"), missing=(directory,))
    assert looking.placing.may_start(order)
    looking.placing.report(Done(order=order, state=RemoteState(rev="1", remote_id="x"), made=((directory, made),)))
    copy = looking.far.placements.at(A, place)
    assert copy.file == directory
    assert looking.suspected == ([] if made else [copy])


def made_by_us(looking, name, above=ROOT_FILE):
    """A directory that an order made on the way, and nobody has looked at; its file id."""
    parent = ROOT_INODE if above == ROOT_FILE else looking.volume.name(above).inode
    file = looking.volume.make_directory(parent, name, 0o755, 0, 0).files[0]
    made = replace(
        looking.copy, file=file, kind=Kind.DIRECTORY, place=Place(above, name), rev="", remote_id="", mode=0,
        size=0, generation=0, made=True, found=False,
    )  # fmt: skip
    changes = {}
    looking.far.placements.write(changes, put=[made])
    looking.volume.settle(changes, file)
    looking.far.life.catalog.commit(changes)
    return file


async def test_what_others_did_in_a_directory_before_it_was_parked_is_seen(looking):
    """Else what is not there any more would be waited for for ever, by orders that find nothing, and what follows."""
    far, service = looking.far, looking.service
    parked = Place(PARKING, b"7")
    directory = made_by_us(looking, b"d")
    inner = {name: made_by_us(looking, name, directory) for name in (b"gone", b"there")}
    changes = {}
    far.placements.write(changes, put=[replace(far.placements.of(directory)[A], place=parked)])
    far.life.catalog.commit(changes)
    for path in [(), (b"there",), (b"new",)]:
        service.make_directory((*PARKED, b"7", *path))
    lost = trio.Event()
    far.placements.written = lambda file: lost.set() if file == inner[b"gone"] else None
    intake = looking.intake()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(intake.run)
        assert intake.suspect(far.placements.of(directory)[A])
        with trio.fail_after(30):
            await lost.wait()
        nursery.cancel_scope.cancel()
    assert A not in far.placements.of(inner[b"gone"])
    assert not looking.volume.name(inner[b"gone"]).alive
    assert looking.volume.name(inner[b"there"]).alive
    assert looking.volume.path(directory) == b"/d", "what waits for its place is shown where it belongs"
    assert looking.volume.dirent(looking.volume.name(directory).inode, b"new") is not None


async def test_what_others_left_in_a_directory_that_was_deleted_while_it_was_parked_is_told(looking, caplog):
    directory = made_by_us(looking, b"d")
    copy = replace(looking.far.placements.of(directory)[A], place=Place(PARKING, b"7"))
    changes = {}
    looking.far.placements.write(changes, put=[copy])
    looking.far.life.catalog.commit(changes)
    order = Delete(entry=A, file=directory, copy=copy)
    assert looking.placing.may_start(order)
    looking.placing.report(Done(order=order, state=None, remains=True))
    (told,) = caplog.records
    assert told.levelname == "WARNING"
    assert told.at == ".onitufs/parked/7"


async def test_a_directory_that_others_put_in_the_place_of_one_that_we_just_made_is_listed(looking):
    made_by_us(looking, b"d")
    made_by_us(looking, b"old")
    looking.service.make_directory((b"old",))
    await looking.arriving.look((b"old",))
    looking.service.move((b"old",), (b"d",))
    await looking.arriving.look((b"d",))
    assert looking.listed == [(b"d",)]


@pytest.mark.parametrize(("mode", "pending"), [(0o755, 0), (0o700, 1)], ids=["as it is to be", "of another mode"])
async def test_the_first_look_at_a_directory_that_we_made_leaves_nothing_pending(looking, mode, pending):
    """Else it is, for a moment, after `onitufs wait` has said that all is placed."""
    volume, far = looking.volume, looking.far
    file = made_by_us(looking, b"d")
    looking.service.make_directory((b"d",), mode)
    before = volume.unsettled
    await looking.arriving.look((b"d",))
    assert far.placements.of(file)[A].rev
    assert far.placements.of(file)[A].mode == mode
    assert volume.unsettled - before == pending
