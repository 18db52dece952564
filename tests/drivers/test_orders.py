"""What a running Plug does with orders: merging, keeping apart, foreign objects. The service is in memory."""

import dataclasses

import pytest
import trio
import trio.testing

from onitufs.model.copies import Place
from onitufs.model.errors import Conflict, Gone, Missing, NameNotAllowed, ServiceError, Stale
from onitufs.model.files import Kind
from onitufs.model.ids import PARKING, ROOT_FILE, FileId
from onitufs.model.orders import Done, Failed


class Gate:
    """Holds up calls of one handler until it is opened; tells how many are held."""

    def __init__(self, world, *names):
        self.held = 0
        self._names = names
        self._opened = trio.Event()
        self._arrived = trio.Event()
        world.service.hook = self

    async def __call__(self, what, path):
        if what in self._names and not self._opened.is_set():
            self.held += 1
            self._arrived.set()
            self._arrived = trio.Event()
            await self._opened.wait()

    async def holds(self, count):
        with trio.fail_after(10):
            while self.held < count:
                await self._arrived.wait()

    def open(self):
        self._opened.set()


async def test_repeated_saves_are_merged(memory_world):
    world = memory_world
    plug = world.plug()
    first = world.put(b"f", b"0")
    plug.submit(first)
    for number in range(1, 20):
        plug.submit(world.put(b"f", b"%d" % number, file=first.file))
    async with world.running(plug):
        await world.done()
    assert world.files() == {(b"f",): b"19"}
    assert len(world.calls("upload_file")) == 1
    assert not plug.pending(first.file)


async def test_a_newer_order_waits_for_the_running_one_and_is_asked_for_again(memory_world):
    world = memory_world
    plug = world.plug()
    first = world.put(b"f", b"one")
    async with world.running(plug):
        gate = Gate(world, "upload_file")
        plug.submit(first)
        await gate.holds(1)
        for number in range(5):
            plug.submit(world.put(b"f", b"newer %d" % number, file=first.file))
        assert gate.held == 1
        gate.open()
        done, failed = await world.ended(2)
        assert isinstance(done, Done)
        assert isinstance(failed, Failed)
        assert failed.stale
        assert isinstance(failed.error, Stale)
        assert not plug.pending(first.file)
        # what the daemon then does: the Referee is asked, and orders anew from the Copy that there is now
        plug.submit(world.put(b"f", b"newest", file=first.file))
        await world.done()
    assert world.files() == {(b"f",): b"newest"}


async def test_an_order_given_while_the_end_is_reported_is_carried_out(memory_world):
    world = memory_world
    plug = world.plug()
    first = world.put(b"f", b"one")

    def order_again(outcome):
        world.on_report = lambda _: None
        plug.submit(world.put(b"f", b"two", file=first.file))

    world.on_report = order_again
    async with world.running(plug):
        plug.submit(first)
        await world.done(2)
    assert world.files() == {(b"f",): b"two"}


async def test_withdrawn_before_its_turn(memory_world):
    world = memory_world
    plug = world.plug(lanes=1)
    async with world.running(plug):
        gate = Gate(world, "upload_file")
        plug.submit(world.put(b"a", b"a"))
        await gate.holds(1)
        plug.submit(second := world.put(b"b", b"b"))
        assert plug.pending(second.file)
        plug.withdraw(second.file)
        assert not plug.pending(second.file)
        gate.open()
        await world.done()
    assert world.files() == {(b"a",): b"a"}


async def test_a_directory_is_not_renamed_under_a_put(memory_world):
    world = memory_world
    plug = world.plug()
    folder = world.new_directory(b"d")
    async with world.running(plug):
        plug.submit(world.put(b"first", b"1", parent=folder))
        await world.done()
        gate = Gate(world, "piece")
        plug.submit(world.put(b"second", b"2", parent=folder))
        await gate.holds(1)
        plug.submit(world.move(folder, b"e"))
        await trio.testing.wait_all_tasks_blocked()
        assert world.calls("move_file") == []
        # nor does one that comes later slip in before it: its path is computed when the rename is through
        plug.submit(world.put(b"third", b"3", parent=folder))
        await trio.testing.wait_all_tasks_blocked()
        assert gate.held == 1
        gate.open()
        await world.done(3)
    assert world.files() == {(b"e", b"first"): b"1", (b"e", b"second"): b"2", (b"e", b"third"): b"3"}


async def test_a_withdrawn_rename_lets_go_of_what_waited_for_it(memory_world):
    world = memory_world
    plug = world.plug()
    folder = world.new_directory(b"d")
    async with world.running(plug):
        plug.submit(world.put(b"first", b"1", parent=folder))
        await world.done()
        gate = Gate(world, "piece")
        plug.submit(world.put(b"second", b"2", parent=folder))
        await gate.holds(1)
        plug.submit(world.move(folder, b"e"))
        await trio.testing.wait_all_tasks_blocked()
        plug.submit(world.put(b"third", b"3", parent=folder))
        await trio.testing.wait_all_tasks_blocked()
        plug.withdraw(folder)
        await gate.holds(2)
        gate.open()
        await world.done(2)
    assert set(world.files()) == {(b"d", b"first"), (b"d", b"second"), (b"d", b"third")}


async def test_a_directory_is_made_once_and_told_once(memory_world):
    world = memory_world
    plug = world.plug()
    outer = world.new_directory(b"outer")
    inner = world.new_directory(b"inner", outer)
    async with world.running(plug):
        for number in range(20):
            plug.submit(world.put(b"%d" % number, b"x", parent=inner))
        done = await world.done(20)
    assert len(world.files()) == 20
    assert [path for _, path in world.calls("make_directory")] == [(b"outer",), (b"outer", b"inner")]
    assert sorted(made for outcome in done for made in outcome.made) == [(outer, True), (inner, True)]


async def test_a_directory_made_for_work_that_failed_still_counts_as_made(memory_world):
    world = memory_world
    plug = world.plug()
    folder = world.new_directory(b"d")
    world.fail("upload_file", lambda: NameNotAllowed("no such names; rename it"))
    async with world.running(plug):
        plug.submit(world.put(b"bad", b"x", parent=folder))
        (failed,) = await world.ended()
        assert not failed.again
        assert not failed.stale
        world.service.hook = None
        plug.submit(world.put(b"good", b"x", parent=folder))
        (done,) = await world.done()
    assert done.made == ((folder, True),)


async def test_a_directory_that_was_there_is_not_ours(memory_world):
    world = memory_world
    plug = world.plug()
    folder = world.new_directory(b"d")
    world.service.nodes[(b"d",)] = type(world.service.nodes[()])(Kind.DIRECTORY, "theirs")
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"x", parent=folder))
        (done,) = await world.done()
        assert done.made == ((folder, False),)
        plug.submit(world.delete(first.file))
        await world.done()
        plug.submit(world.delete(folder))
        (done,) = await world.done()
    assert done.remains
    assert (b"d",) in world.service.nodes


async def test_a_foreign_object_is_kept_beside(memory_world):
    world = memory_world
    plug = world.plug(now_s=lambda: 1_000_000_000.0)
    node = type(world.service.nodes[()])
    world.service.nodes[(b"a.tar",)] = node(Kind.FILE, "x", b"theirs")
    world.service.nodes[(b"a (conflicted copy from disk 2001-09-09).tar",)] = node(Kind.FILE, "y", b"older")
    async with world.running(plug):
        plug.submit(world.put(b"a.tar", b"ours"))
        (done,) = await world.done()
    assert done.kept == b"a (conflicted copy from disk 2001-09-09 2).tar"
    assert world.files() == {
        (b"a.tar",): b"ours",
        (b"a (conflicted copy from disk 2001-09-09).tar",): b"older",
        (b"a (conflicted copy from disk 2001-09-09 2).tar",): b"theirs",
    }


async def test_equal_content_is_taken_without_a_transfer(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"equal"))
        await world.done()
        del world.copies[first.file]  # a crash before the Copy was written
        uploads = len(world.calls("piece"))
        plug.submit(world.put(b"f", b"equal", file=first.file))
        (done,) = await world.done()
        assert done.kept == b""
        plug.submit(world.put(b"f", b"next", file=first.file))
        (done,) = await world.done()
    assert done.kept == b""
    assert world.files() == {(b"f",): b"next"}
    assert len(world.calls("piece")) == uploads + 2  # one was refused before its end


async def test_our_own_content_under_another_rev_is_no_conflict(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"one"))
        await world.done()
        world.service.nodes[(b"f",)].rev = "touched by a backup"
        plug.submit(world.put(b"f", b"two", file=first.file))
        (done,) = await world.done()
        assert done.kept == b""
        world.service.nodes[(b"f",)].rev = "again"
        plug.submit(world.move(first.file, b"g"))
        await world.done()
        world.service.nodes[(b"g",)].rev = "and again"
        plug.submit(world.delete(first.file))
        await world.done()
    assert world.files() == {}
    assert world.service.trash == [b"one", b"two"]


async def test_an_edit_lives_when_the_file_is_deleted_here(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"one"))
        await world.done()
        world.service.nodes[(b"f",)] = type(world.service.nodes[()])(Kind.FILE, "z", b"their edit")
        plug.submit(world.delete(first.file))
        (failed,) = await world.ended()
    assert isinstance(failed.error, Conflict)
    assert failed.stale
    assert world.files() == {(b"f",): b"their edit"}


async def test_an_edit_lives_when_it_was_deleted_there(memory_world):
    world = memory_world
    plug = world.plug()
    folder = world.new_directory(b"d")
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"one", parent=folder))
        await world.done()
        del world.service.nodes[(b"d", b"f")], world.service.nodes[(b"d",)]
        plug.submit(world.put(b"f", b"two", parent=folder, file=first.file))
        await world.done()
    assert world.files() == {(b"d", b"f"): b"two"}


async def test_moving_to_a_foreign_name_keeps_both(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(first := world.put(b"a", b"ours"))
        await world.done()
        world.service.nodes[(b"b",)] = type(world.service.nodes[()])(Kind.FILE, "z", b"theirs")
        plug.submit(world.move(first.file, b"b"))
        (done,) = await world.done()
    assert world.files() == {(b"b",): b"ours", (done.kept,): b"theirs"}


async def test_a_move_of_what_went_away_is_stale(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(first := world.put(b"a", b"ours"))
        await world.done()
        del world.service.nodes[(b"a",)]
        plug.submit(world.move(first.file, b"b"))
        (failed,) = await world.ended()
    assert failed.stale
    assert isinstance(failed.error, Gone)


async def test_a_takeover_replaces_the_object_of_the_other_file(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(old := world.put(b"doc", b"old"))
        await world.done()
        plug.submit(world.put(b"doc", b"new", replaces=world.copies[old.file]))
        (done,) = await world.done()
    assert done.kept == b""
    assert world.files() == {(b"doc",): b"new"}
    assert world.service.trash == [b"old"]


async def test_parking_and_back(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(first := world.put(b"a", b"ours"))
        await world.done()
        plug.submit(world.move(first.file, b"7", parent=PARKING))
        await world.done()
        assert world.files() == {}
        plug.submit(world.move(first.file, b"b"))
        await world.done()
    assert world.files() == {(b"b",): b"ours"}


async def test_our_private_name_is_nobody_elses(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(world.put(b".onitufs", b"x"))
        (failed,) = await world.ended()
    assert isinstance(failed.error, NameNotAllowed)
    assert not failed.again
    assert not failed.stale


async def test_a_symlink_and_its_attributes(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(world.put(b"l", b"", kind=Kind.SYMLINK, target=b"t"))
        await world.done()
    assert world.service.nodes[(b"l",)].data == b"t"


async def test_room_is_told_once_it_is_there_again(memory_world):
    world = memory_world
    plug = world.plug(bound=10)
    told = []
    plug.on_room = lambda: told.append(len(plug))
    for number in range(12):
        assert plug.room == (number < 10)
        plug.submit(world.put(b"%d" % number, b"x"))
    async with world.running(plug):
        await world.done(12)
    assert len(told) == 1
    assert plug.room


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.SYMLINK])
async def test_a_directory_of_theirs_where_a_file_should_be(memory_world, kind):
    world = memory_world
    plug = world.plug()
    node = type(world.service.nodes[()])
    world.service.nodes[(b"x",)] = node(Kind.DIRECTORY, "d")
    world.service.nodes[(b"x", b"y")] = node(Kind.FILE, "f", b"theirs")
    async with world.running(plug):
        plug.submit(world.put(b"x", b"ours", kind=kind, target=b"ours"))
        (done,) = await world.done()
    assert world.service.nodes[(b"x",)].data == b"ours"
    assert world.service.nodes[(done.kept, b"y")].data == b"theirs"


async def test_a_file_of_theirs_where_a_directory_should_be(memory_world):
    world = memory_world
    plug = world.plug()
    world.service.nodes[(b"d",)] = type(world.service.nodes[()])(Kind.FILE, "f", b"theirs")
    folder = world.new_directory(b"d")
    async with world.running(plug):
        plug.submit(world.put(b"f", b"ours", parent=folder))
        (done,) = await world.done()
    assert done.made == ((folder, True),)
    assert world.files()[(b"d", b"f")] == b"ours"
    assert b"theirs" in world.files().values()
    assert ROOT_FILE not in world.copies


async def test_a_pause_while_something_is_reread(memory_world):
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(world.put(b"f", b"x"))
        await world.done()
        gate = Gate(world, "digest")
        caught = []

        async def look():
            try:
                await plug.digest((b"f",), Kind.FILE)
            except ServiceError as exc:
                caught.append(str(exc))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await gate.holds(1)
            plug.pause()
        assert caught == ["entry disk is paused: not connected"]
        await trio.testing.wait_all_tasks_blocked()
        assert world.service.connections == 0


async def test_directories_that_somebody_removed_are_made_again(memory_world):
    world = memory_world
    plug = world.plug()
    outer = world.new_directory(b"outer")
    inner = world.new_directory(b"inner", outer)
    innermost = world.new_directory(b"innermost", inner)
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"1", parent=inner))
        plug.submit(second := world.put(b"g", b"2"))
        await world.done(2)
        for path in [*world.service.below((b"outer",)), (b"outer",)]:
            del world.service.nodes[path]
        plug.submit(world.put(b"h", b"3", parent=innermost))
        await world.done()
        del world.copies[innermost]
        for path in [*world.service.below((b"outer",)), (b"outer",)]:
            del world.service.nodes[path]
        plug.submit(world.move(second.file, b"g", parent=innermost))
        await world.done()
        plug.submit(world.delete(first.file))
        await world.done()
    assert world.files() == {(b"outer", b"inner", b"innermost", b"g"): b"2"}


async def test_a_directory_that_somebody_looks_for_is_not_made_again_meanwhile(memory_world):
    world = memory_world
    plug = world.plug()
    outer = world.new_directory(b"outer")
    inner = world.new_directory(b"inner", outer)
    looked_for = []
    plug.on_missing = lambda path: not looked_for.append(path)
    async with world.running(plug):
        plug.submit(world.put(b"f", b"1", parent=outer))
        await world.done()
        for path in [*world.service.below((b"outer",)), (b"outer",)]:
            del world.service.nodes[path]
        plug.submit(world.put(b"g", b"2", parent=outer))
        plug.submit(world.put(b"h", b"3", parent=inner))
        for failed in await world.ended(2):
            assert isinstance(failed.error, Missing)
            assert failed.stale
        assert set(looked_for) == {(b"outer",)}
        assert world.files() == {}
        plug.on_missing = lambda path: False
        plug.submit(world.put(b"g", b"2", parent=outer))
        plug.submit(world.put(b"h", b"3", parent=inner))
        await world.done(2)
    assert world.files() == {(b"outer", b"g"): b"2", (b"outer", b"inner", b"h"): b"3"}


async def test_only_a_lost_object_is_called_gone(memory_world):
    """Of a move, Gone means that its object is not there; where it should go to is another matter."""
    world = memory_world
    plug = world.plug()
    async with world.running(plug):
        plug.submit(first := world.put(b"f", b"1"))
        await world.done()
        world.wanted[FileId(77)] = Place(FileId(78), b"d")
        order = dataclasses.replace(world.move(first.file, b"g"), place=Place(FileId(77), b"g"))
        plug.submit(order)
        (failed,) = await world.ended()
        assert isinstance(failed.error, Stale)
        assert failed.stale
        del world.service.nodes[(b"f",)]
        plug.submit(world.move(first.file, b"g"))
        (failed,) = await world.ended()
        assert isinstance(failed.error, Gone)


async def test_two_renames_that_wait_do_not_wait_for_each_other(memory_world):
    world = memory_world
    plug = world.plug()
    outer = world.new_directory(b"outer")
    inner = world.new_directory(b"inner", outer)
    async with world.running(plug):
        plug.submit(world.put(b"f", b"1", parent=inner))
        await world.done()
        gate = Gate(world, "piece")
        plug.submit(world.put(b"g", b"2", parent=inner))
        await gate.holds(1)
        plug.submit(world.move(inner, b"inside", parent=outer))
        plug.submit(world.move(outer, b"outside"))
        await trio.testing.wait_all_tasks_blocked()
        plug.submit(world.put(b"h", b"3", parent=inner))
        await trio.testing.wait_all_tasks_blocked()
        assert gate.held == 1
        assert world.calls("move_file") == []
        gate.open()
        await world.done(4)
    assert {path[:2] for path in world.files()} == {(b"outside", b"inside")}
    assert len(world.files()) == 3
