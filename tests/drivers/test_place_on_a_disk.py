"""Orders carried out on local_storage by a running Plug."""

import os
import threading
from pathlib import Path

import pytest

from onitufs.drivers.local_storage import DRIVER
from onitufs.drivers.local_storage.driver import LocalStorage
from onitufs.drivers.starting import BATCH_FILES
from onitufs.model.files import Kind
from onitufs.model.orders import Done, Failed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def plug(world, root):
    return world.new_plug(DRIVER, DRIVER.read_options({"root": str(root)}, root.parent, "entries.disk.options"))


def below(root: Path) -> dict[str, bytes | None]:
    """Everything in a root that is the user's: path -> content, None for a directory."""
    found: dict[str, bytes | None] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if not name.startswith(".onitufs"):
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


def trashed(root: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in (root / ".onitufs/trash").rglob("*") if path.is_file())


async def test_a_file_is_placed_with_its_mode_and_time(world, plug, root):
    async with world.running(plug):
        plug.submit(world.put(b"a.txt", b"hello"))
        await world.done()
    found = (root / "a.txt").stat()
    assert below(root) == {"a.txt": b"hello"}
    assert (found.st_mode & 0o7777, found.st_mtime_ns) == (0o640, 1_700_000_000_123_456_789)
    assert os.listdir(root / ".onitufs/tmp") == []


async def test_many_files_in_new_directories(world, plug, root):
    outer = world.new_directory(b"outer")
    inner = world.new_directory(b"inner", outer)
    async with world.running(plug):
        for number in range(200):
            plug.submit(world.put(b"f%d" % number, b"%d" % number, parent=inner))
        done = await world.done(200)
    assert len(below(root)) == 202
    assert sorted(one for outcome in done for one in outcome.made) == [(outer, True), (inner, True)]


async def test_of_two_directories_that_have_one_place_only_one_is_made(world, root):
    """One was renamed since, and orders that began before hold on to its place; both may be in one batch."""

    def fits(order):
        others = {copy.place for copy in world.copies.values() if copy.file not in order.missing}
        return not others & {world.wanted[directory] for directory in order.missing}

    options = DRIVER.read_options({"root": str(root)}, root.parent, "entries.disk.options")
    plug = world.new_plug(DRIVER, options, fits=fits)
    for directory in [world.new_directory(b"d"), world.new_directory(b"d")]:
        plug.submit(world.put(b"of %d" % directory, b"x", parent=directory))
    async with world.running(plug):
        first, second = await world.ended(2)
    assert isinstance(first, Done)
    assert isinstance(second, Failed)
    assert second.stale
    assert first.made == ((first.order.missing[0], True),)
    assert len(below(root)) == 2


async def test_a_new_generation_replaces_and_the_old_goes_to_trash(world, plug, root):
    async with world.running(plug):
        plug.submit(first := world.put(b"a", b"one"))
        await world.done()
        plug.submit(world.put(b"a", b"two", file=first.file))
        await world.done()
    assert below(root) == {"a": b"two"}
    assert trashed(root) == [b"one"]


async def test_a_foreign_edit_is_kept_beside(world, plug, root):
    async with world.running(plug):
        plug.submit(first := world.put(b"a.txt", b"one"))
        await world.done()
        (root / "a.txt").write_bytes(b"theirs")
        plug.submit(world.put(b"a.txt", b"two", file=first.file))
        (done,) = await world.done()
    assert done.kept.startswith(b"a (conflicted copy from disk ")
    assert below(root) == {"a.txt": b"two", done.kept.decode(): b"theirs"}


async def test_move_and_delete(world, plug, root):
    folder = world.new_directory(b"d")
    async with world.running(plug):
        plug.submit(first := world.put(b"a", b"one", parent=folder))
        await world.done()
        plug.submit(world.move(folder, b"e"))
        await world.done()
        assert below(root) == {"e": None, "e/a": b"one"}
        plug.submit(world.move(first.file, b"b"))
        await world.done()
        assert below(root) == {"e": None, "b": b"one"}
        plug.submit(world.delete(folder))
        plug.submit(world.delete(first.file))
        await world.done(2)
    assert below(root) == {}
    assert trashed(root) == [b"one"]


async def test_a_symlink(world, plug, root):
    async with world.running(plug):
        plug.submit(world.put(b"l", b"", kind=Kind.SYMLINK, target=b"a/b"))
        await world.done()
    assert os.readlink(root / "l") == "a/b"


async def test_a_batch_goes_while_the_ends_of_the_one_before_are_written_down(world, plug, root, monkeypatch):
    """One at a time is at the service all the same."""
    reported_at_begin, at_service, second = [], [], threading.Event()
    real = LocalStorage.upload_batch

    def upload_batch(self, uploads):
        reported_at_begin.append(len(world.outcomes))
        at_service.append(len(uploads))
        assert len(at_service) == 1
        if len(reported_at_begin) == 2:
            second.set()
        try:
            return real(self, uploads)
        finally:
            at_service.pop()

    def take_long(outcome):
        if len(world.outcomes) == BATCH_FILES - 10:
            assert second.wait(10)

    monkeypatch.setattr(LocalStorage, "upload_batch", upload_batch)
    world.on_report = take_long
    for number in range(3 * BATCH_FILES):
        plug.submit(world.put(b"%d" % number, b"x"))
    async with world.running(plug):
        await world.done(3 * BATCH_FILES)
    assert 0 < reported_at_begin[1] < BATCH_FILES, reported_at_begin
    assert len(below(root)) == 3 * BATCH_FILES
