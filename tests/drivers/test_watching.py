"""What is particular to watching a disk: the kernel's queue and limits, directories that move, files left open."""

import errno
import os
import shutil
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
import trio

from onitufs.drivers import local_storage
from onitufs.drivers.conformance.subject import Entry, connected
from onitufs.drivers.conformance.watching import Told, watched
from onitufs.drivers.local_storage import driver, inotify, watching
from onitufs.drivers.local_storage.syscalls import RENAME_EXCHANGE, rename
from onitufs.drivers.local_storage.writing import FIRST_S, MOST_S, Writing
from onitufs.model.errors import NeedsPerson, ServiceError


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
async def disk(root, tmp_path):
    async with new_disk(root, tmp_path) as subject:
        yield subject


@asynccontextmanager
async def new_disk(root: Path, tmp_path: Path, **more):
    options = local_storage.DRIVER.read_options({"root": str(root)} | more, tmp_path, "")
    entry = Entry(driver=local_storage.DRIVER, options=options, outside=None)
    async with connected(entry, tmp_path / "work") as subject:
        yield subject


def names(told: Told, start: int = 0) -> set[bytes]:
    return {b"/".join(path) for sighted in told.all[start:] for path in (*sighted.paths, *sighted.below)}


async def settled(told: Told, root: Path, mark: str) -> None:
    """All that was told before a file that is made now."""
    await told.after(lambda: (root / mark).write_bytes(b""), (mark.encode(),))


async def test_what_we_place_is_told_without_what_is_private(disk):
    async with watched(disk) as told:
        state = await disk.put((b"f",), b"one")
        state = await disk.put((b"f",), b"two", state.rev)
        await disk.call("delete_file", (b"f",), state.rev)
        await told.until(lambda: b"f" in names(told, 1), "f")
        assert names(told, 1) == {b"f"}


async def test_many_changes_are_told_together(disk, root):
    async with watched(disk) as told:
        for number in range(500):
            (root / str(number)).write_bytes(b"x")
        await told.until(lambda: len(names(told, 1)) == 500, "all of them")
        assert len(told.all) < 50


async def test_both_ends_of_a_rename_are_told_together(disk, root):
    (root / "d").mkdir()
    (root / "f").write_bytes(b"")
    async with watched(disk) as told:
        os.rename(root / "f", root / "d/f")
        os.rename(root / "d", root / "e")
        await told.until(lambda: len(told.all) > 1, "the rename")
        assert set(told.all[1].paths) == {(b"f",), (b"e", b"f"), (b"d",), (b"e",)}
        assert told.all[1].below == ()


async def test_an_overflow_of_the_queue_is_a_new_look_at_everything(disk, root):
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    told = Told()
    block = trio.Event()

    async def tell(sighted):
        await told.tell(sighted)
        if len(told.all) == 1:
            await block.wait()

    def flood():
        (root / "d/deep").mkdir(parents=True)
        for _ in range(limit // 3 + 1000):  # each CREATE, CLOSE_WRITE, DELETE
            (root / "f").write_bytes(b"")
            (root / "f").unlink()
        (root / "lost").mkdir()  # no event of this is left

    async with trio.open_nursery() as nursery:
        nursery.start_soon(disk.call, "watch", None, tell)
        await told.first()
        await trio.to_thread.run_sync(flood)
        block.set()
        await told.until(lambda: any(() in sighted.below for sighted in told.all[1:]), "everything")
        await told.after(lambda: (root / "lost/f").write_bytes(b""), (b"lost", b"f"))
        await told.after(lambda: (root / "d/deep/f").write_bytes(b""), (b"d", b"deep", b"f"))
        nursery.cancel_scope.cancel()


async def test_a_directory_that_was_moved_out_is_not_told_of(disk, root, tmp_path):
    (root / "d/in").mkdir(parents=True)
    async with watched(disk) as told:
        os.rename(root / "d", tmp_path / "out")
        await settled(told, root, "m1")
        start = len(told.all)
        (tmp_path / "out/in/f").write_bytes(b"")
        await settled(told, root, "m2")
        assert names(told, start) == {b"m2"}
        (root / "d").mkdir()
        await settled(told, root, "m3")
        os.rename(tmp_path / "out/in", root / "d/back")
        await told.after(lambda: (root / "d/back/f").write_bytes(b"x"), (b"d", b"back", b"f"))
        start = len(told.all)
        (tmp_path / "out/f").write_bytes(b"")
        await settled(told, root, "m4")
        assert names(told, start) == {b"m4"}


def watches() -> int:
    """How many directories the kernel watches for this process."""
    found = 0
    for name in os.listdir("/proc/self/fdinfo"):
        with suppress(FileNotFoundError):
            found += Path("/proc/self/fdinfo", name).read_text().count("inotify wd:")
    return found


async def test_what_was_moved_out_or_removed_is_watched_no_longer(disk, root, tmp_path):
    for number in range(50):
        (root / f"out/{number}").mkdir(parents=True)
        (root / f"gone/{number}").mkdir(parents=True)
    async with watched(disk) as told:
        assert watches() == 103
        os.rename(root / "out", tmp_path / "out")
        shutil.rmtree(root / "gone")
        with trio.fail_after(60):
            while watches() > 1:
                await settled(told, root, "mark")


async def test_directories_that_change_places(disk, root):
    for name in ("a/x", "b/y", "c"):
        (root / name).mkdir(parents=True)
    async with watched(disk) as told:
        fd = os.open(root, os.O_RDONLY)
        try:
            rename(b"a", fd, b"b", fd, RENAME_EXCHANGE)
        finally:
            os.close(fd)
        await told.after(lambda: (root / "b/x/f").write_bytes(b""), (b"b", b"x", b"f"))
        await told.after(lambda: (root / "a/y/f").write_bytes(b""), (b"a", b"y", b"f"))
        os.rename(root / "b", root / "c")  # over an empty one
        await told.after(lambda: (root / "c/x/f").write_bytes(b""), (b"c", b"x", b"f"))
        os.rename(root / "a/y", root / "c/x/y")  # into one that moves as well
        os.rename(root / "c", root / "d")
        await told.after(lambda: (root / "d/x/y/f").write_bytes(b""), (b"d", b"x", b"y", b"f"))


async def test_a_directory_that_comes_back_while_its_watches_are_removed(disk, root, tmp_path, monkeypatch):
    """It is watched again by then, in part under the same numbers."""
    inside = [f"d/{number}" for number in range(watching._REMOVED_AT_ONCE + 100)]

    class Queue(inotify.Inotify):
        def remove(self, watch):
            if (tmp_path / "out").exists():
                os.rename(tmp_path / "out", root / "d")
            super().remove(watch)

    for name in inside:
        (root / name).mkdir(parents=True)
    monkeypatch.setattr(watching, "Inotify", Queue)
    async with watched(disk) as told:
        await told.after(lambda: os.rename(root / "d", tmp_path / "out"), (b"d",))
        await told.after(lambda: None, (b"d",))  # back
        await settled(told, root, "mark")
        paths = [os.fsencode(f"{name}/f") for name in inside]
        await told.after(
            lambda: [(root / name / "f").touch() for name in inside], *(tuple(p.split(b"/")) for p in paths)
        )


async def test_a_directory_whose_name_another_has_before_its_move_is_told(disk, root, monkeypatch):
    """What was to be watched in it waits until it turns up."""

    class Queue(inotify.Inotify):
        """Each step comes just after what we did before it."""

        moved = False

        def add(self, directory):
            number = super().add(directory)
            if os.readlink(f"/proc/self/fd/{directory}") == str(root / "p"):
                (root / "p/n").mkdir()  # told, and listed as well
            return number

        def read(self):
            if self.moved:
                self.moved = False
                return []
            if not (root / "p/n").exists() or (root / "p/m").exists():
                return super().read()
            (root / "p/n/new").mkdir()
            events = super().read()
            os.rename(root / "p/n", root / "p/m")
            (root / "p/n").mkdir()
            self.moved = True
            return events

    monkeypatch.setattr(watching, "Inotify", Queue)
    async with watched(disk) as told:
        await told.after((root / "p").mkdir, (b"p", b"m"))
        await settled(told, root, "mark")
        await told.after((root / "p/m/new/f").touch, (b"p", b"m", b"new", b"f"))
        await told.after((root / "p/n/f").touch, (b"p", b"n", b"f"))


@pytest.mark.parametrize("again", [False, True], ids=["", "and another one has its name"])
async def test_a_directory_that_moves_in_one_that_moves_before_that_is_told(disk, root, monkeypatch, again):
    """By the path that is known it is not found, or something else is."""

    class Queue(inotify.Inotify):
        moved = False

        def read(self):
            if self.moved:
                self.moved = False
                return []
            events = super().read()
            if (root / "d/m").exists() and not (root / "e").exists():
                self.moved = True
                os.rename(root / "d", root / "e")
                if again:
                    (root / "d/m").mkdir(parents=True)
            return events

    (root / "d/n").mkdir(parents=True)
    monkeypatch.setattr(watching, "Inotify", Queue)
    async with watched(disk) as told:
        await told.after(lambda: os.rename(root / "d/n", root / "d/m"), (b"e",))
        await settled(told, root, "mark")
        if again:
            os.rename(root / "d", root / "other")
        await told.after((root / "e/m/f").touch, (b"e", b"m", b"f"))


async def test_a_directory_that_is_not_where_all_events_say_is_looked_for_everywhere(disk, root, monkeypatch):
    class Queue(inotify.Inotify):
        """Says nothing of a rename of ours."""

        def read(self):
            events = super().read()
            if (root / "d/new").exists():
                os.rename(root / "d", root / "e")
            return [event for event in events if event.name not in {b"d", b"e"}]

    (root / "d").mkdir()
    monkeypatch.setattr(watching, "Inotify", Queue)
    async with watched(disk) as told:
        await told.after((root / "d/new").mkdir, (b"e", b"new"))
        assert () in told.all[-1].below
        await told.after((root / "e/new/f").touch, (b"e", b"new", b"f"))


async def test_what_is_in_a_new_directory_is_told_although_it_was_on_its_way_elsewhere(disk, root, monkeypatch):
    told = Told()

    class Queue(inotify.Inotify):
        """It is renamed when it is watched; the second half of that comes later than what is told meanwhile."""

        held: ClassVar = []

        def add(self, directory):
            number = super().add(directory)
            if os.readlink(f"/proc/self/fd/{directory}") == str(root / "new"):
                os.rename(root / "new", root / "e")
            return number

        def read(self):
            if any((b"new",) in sighted.paths for sighted in told.all):
                events, self.held[:] = self.held + super().read(), []
                return events
            events = super().read()
            self.held += [event for event in events if event.mask & inotify.MOVED_TO]
            return [event for event in events if event not in self.held]

    monkeypatch.setattr(watching, "Inotify", Queue)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(disk.call, "watch", None, told.tell)
        await told.first()

        def change():
            (root / "new").mkdir()
            (root / "new/f").touch()

        await told.after(change, (b"e", b"f"))
        nursery.cancel_scope.cancel()


async def test_a_file_that_is_never_closed_is_told(disk, root):
    async with watched(disk) as told:
        with open(root / "log", "wb", buffering=0) as file:
            await told.after(lambda: file.write(b"line"), (b"log",))
            await told.after(lambda: file.write(b"line"), (b"log",))
        (root / "link").symlink_to("log")
        os.link(root / "log", root / "second")
        os.truncate(root / "log", 2)
        start = len(told.all) - 1
        await told.until(lambda: {b"link", b"second", b"log"} <= names(told, start), "links, and what was truncated")


async def test_a_root_that_is_moved_ends_it(disk, root, tmp_path):
    with pytest.raises(ServiceError, match="moved"):
        await ended(disk, lambda: root.rename(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").rename(root)


async def test_a_root_that_loses_its_mark_ends_it(disk, root, tmp_path):
    with pytest.raises(NeedsPerson, match="is its disk mounted"):
        await ended(disk, lambda: (root / ".onitufs").rename(tmp_path / "private"))
    (tmp_path / "private").rename(root / ".onitufs")


async def test_a_root_that_lost_its_mark_before_is_not_watched(disk, root, tmp_path):
    (root / ".onitufs").rename(tmp_path / "private")
    told = Told()
    with pytest.raises(NeedsPerson, match="is its disk mounted"):
        await disk.call("watch", None, told.tell)
    assert told.all == []
    (tmp_path / "private").rename(root / ".onitufs")


async def ended(disk, change):
    """What ends the watching after a change that is made once it tells."""

    async def tell(sighted):
        change()

    with trio.fail_after(60):
        await disk.call("watch", None, tell)


class Scarce(inotify.Inotify):
    """A system that allows few watches."""

    allowed = 5

    def __init__(self):
        super().__init__()
        self.numbers = set()

    def add(self, directory):
        number = super().add(directory)
        if number not in self.numbers and len(self.numbers) >= self.allowed:
            self.remove(number)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.numbers.add(number)
        return number


async def test_where_not_all_can_be_watched_all_is_looked_through(disk, root, monkeypatch, caplog):
    for number in range(10):
        (root / str(number)).mkdir()
    monkeypatch.setattr(watching, "Inotify", Scarce)
    monkeypatch.setattr(watching, "POLL_S", 0.3)
    async with watched(disk) as told:
        await told.until(lambda: sum(() in each.below for each in told.all) > 2, "everything, again and again")
        assert caplog.text.count("fs.inotify.max_user_watches") == 1
        assert "5 directories" in disk.hints[-1][0]
        assert "fs.inotify.max_user_watches" in disk.hints[-1][1]
        monkeypatch.setattr(Scarce, "allowed", 1000)
        count = len(told.all)
        await told.until(lambda: len(told.all) > count, "everything")
        for number in range(10):
            await told.until(lambda n=number: _found(told, root, n), "the rest")
        assert disk.hints[-1] == ("", "")


def _found(told, root, number):
    """Written again and again: it is told by itself once it is watched."""
    (root / str(number) / "f").write_bytes(b"x")
    return any((str(number).encode(), b"f") in sighted.paths for sighted in told.all)


async def test_a_system_without_a_queue_for_us(disk, monkeypatch, caplog):
    def no_more():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(watching, "Inotify", no_more)
    monkeypatch.setattr(watching, "POLL_S", 0.05)
    async with watched(disk) as told:
        await told.until(lambda: len(told.all) > 3, "everything, again and again")
    assert {sighted.below for sighted in told.all} == {((),)}
    assert "fs.inotify.max_user_instances" in caplog.text
    assert "fs.inotify.max_user_instances" in disk.hints[-1][1]


async def test_looking_through_all_by_the_clock(root, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "SOONEST_S", 0.05)
    async with new_disk(root, tmp_path, watch="50 ms") as disk, watched(disk) as told:
        await told.until(lambda: len(told.all) > 3, "everything, again and again")
        assert {sighted.below for sighted in told.all} == {((),)}


async def test_deep_and_many(disk, root):
    """Deeper than Python's stack, and nothing is left open."""
    fd = os.open(root, os.O_RDONLY)
    for _ in range(300):
        os.mkdir(b"d", dir_fd=fd)
        below = os.open(b"d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
        for wide in range(5):
            os.mkdir(b"%d" % wide, dir_fd=fd)
    open_before = len(os.listdir("/proc/self/fd"))
    async with watched(disk) as told:
        deep = (b"d",) * 300
        await told.after(lambda: os.mkdir(b"new", dir_fd=fd), (*deep, b"new"))
        assert len(os.listdir("/proc/self/fd")) < open_before + 10
    os.close(fd)
    assert len(os.listdir("/proc/self/fd")) < open_before
    shutil.rmtree(root / "d")


def test_a_file_that_is_written_without_pause_is_told_less_and_less_often():
    writing = Writing()
    told = []
    now = 0.0
    while now < 60:
        writing.wrote("f", now)
        if writing.expired(now):
            told.append(now)
        now += 0.05
    pauses = [later - earlier for earlier, later in pairwise(told)]
    assert FIRST_S <= told[0] < FIRST_S + 0.1
    assert max(pauses) < MOST_S + 0.2
    assert min(pauses[3:]) > MOST_S - 0.2
    writing.closed("f")
    assert writing.due() == float("inf")
    writing.wrote("f", now)
    assert writing.due() == now + FIRST_S


def test_a_writer_that_rests_is_told_soon_again():
    writing = Writing()
    for now in (0.0, 100.0, 200.0):
        writing.wrote("f", now)
        assert "f" in writing
        assert writing.expired(now + FIRST_S - 0.01) == []
        assert writing.expired(now + FIRST_S) == ["f"]
        assert "f" not in writing
