"""What others do on an entry is judged only where no order of ours is under way."""

from dataclasses import replace

import pytest

from onitufs.daemon.facts import Facts
from onitufs.daemon.intake.arriving import Arriving
from onitufs.daemon.intake.outside import Outside
from onitufs.daemon.memory import Memory
from onitufs.daemon.placing import Placing
from onitufs.model.copies import Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, ROOT_INODE, EntryName
from onitufs.model.orders import Delete
from onitufs.model.rules import Match, Rule
from onitufs.referee.rules import Rulebook

A = EntryName("a")


class Looking:
    """The entry "a", on which the file "g" stands, and who takes in what others do there."""

    def __init__(self, far):
        self.far = far
        self.volume = far.volume
        self.again = []
        rulebook = Rulebook((Rule(match=Match(paths=("/",)), sync=(A,), source="rules[0]"),), [A], ())
        self.memory = Memory()
        placing = Placing(Facts(far.volume, far.placements, rulebook, {}, self.memory), far.plugs)
        outside = Outside(A, far.plugs[A], placing, lambda parent, name: None)
        self.arriving = Arriving(
            outside, look_again=self.again.append, list_again=lambda path: None, missing=lambda copy: None
        )
        self.file = self.volume.peek(far.adopt(b"one", b"g")).files[0]
        self.service = far.services[A]
        changes = {}
        far.placements.write(changes, put=[replace(self.copy, remote_id=self.service.nodes[b"g",].id)])
        far.life.catalog.commit(changes)

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


@pytest.mark.parametrize(("mode", "pending"), [(0o755, 0), (0o700, 1)], ids=["as it is to be", "of another mode"])
async def test_the_first_look_at_a_directory_that_we_made_leaves_nothing_pending(looking, mode, pending):
    """Else it is, for a moment, after `onitufs wait` has said that all is placed."""
    volume, far = looking.volume, looking.far
    file = volume.make_directory(ROOT_INODE, b"d", 0o755, 0, 0).files[0]
    made = replace(
        looking.copy, file=file, kind=Kind.DIRECTORY, place=Place(ROOT_FILE, b"d"), rev="", remote_id="", mode=0,
        size=0, generation=0, made=True, found=False,
    )  # fmt: skip
    changes = {}
    far.placements.write(changes, put=[made])
    volume.settle(changes, file)
    far.life.catalog.commit(changes)
    looking.service.make_directory((b"d",), mode)
    before = volume.unsettled
    await looking.arriving.look((b"d",))
    assert far.placements.of(file)[A].rev
    assert far.placements.of(file)[A].mode == mode
    assert volume.unsettled - before == pending
