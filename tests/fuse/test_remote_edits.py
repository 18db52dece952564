"""A file is edited elsewhere: it gets a new inode under its name, and the kernel is told to look again."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .calls import Directory, Mapping
from .expecting import fails
from .mounted import Mounted, Watchdog


@pytest.fixture
def mounted(mount: Callable[..., Mounted]) -> Iterator[Mounted]:  # a hang must not take the others along
    mounted = mount().start()
    with Watchdog(mounted, 60):
        yield mounted


def test_open_handles_keep_the_old_bytes_and_new_opens_see_the_new(mounted: Mounted) -> None:
    path = mounted.root / "file"
    path.write_text("old bytes!")
    with open(path) as reader:
        assert reader.read(3) == "old"
        number = mounted.call("arrive", path="file", text="new bytes, and longer", tell=True)
        assert path.stat().st_ino == number
        assert path.stat().st_size == 21
        assert path.read_text() == "new bytes, and longer"
        assert reader.read() == " bytes!"
    assert path.read_text() == "new bytes, and longer"


def test_while_the_file_has_dirty_pages(mounted: Mounted) -> None:
    """Had the inode's data been invalidated, this would hang for good."""
    path = mounted.root / "file"
    path.write_bytes(b"a" * 100_000)
    with open(path, "r+b", buffering=0) as writer:
        writer.write(b"dirty")  # stays with the kernel
        mounted.call("arrive", path="file", text="from elsewhere", tell=True)
        assert path.read_text() == "from elsewhere"
        writer.write(b" and more")
        os.fsync(writer.fileno())
        writer.seek(0)
        assert writer.read(16) == b"dirty and moreaa"
    assert path.read_text() == "from elsewhere"


def test_while_pages_are_mapped_and_dirty(mounted: Mounted) -> None:
    path = mounted.root / "file"
    path.write_bytes(bytes(8192))
    fd = os.open(path, os.O_RDWR)
    mapping = Mapping(fd, 8192)
    os.close(fd)
    mapping.store(0, b"dirty")
    mounted.call("arrive", path="file", text="from elsewhere", tell=True)
    assert path.read_text() == "from elsewhere"
    mapping.store(5000, b"still works")
    mapping.sync()
    assert mapping.load(0, 5) == b"dirty"
    mapping.close()
    assert path.read_text() == "from elsewhere"


def test_while_programs_create_in_that_directory(mounted: Mounted) -> None:
    """invalidate_entry waits for calls under way there; from a thread that ends well."""
    path = mounted.root / "file"
    path.write_text("0")
    stop = threading.Event()

    def create() -> None:
        for number in range(100_000):
            if stop.is_set():
                return
            (mounted.root / f"made{number}").write_text("x")

    busy = threading.Thread(target=create)
    busy.start()
    try:
        for number in range(30):
            mounted.call("arrive", path="file", text=str(number), tell=True)
            assert path.read_text() == str(number)
    finally:
        stop.set()
        busy.join()


def test_a_name_that_the_kernel_knows_to_be_absent(mounted: Mounted) -> None:
    path = mounted.root / "late"
    assert not path.exists()
    mounted.call("arrive", path="late", text="hidden", tell=False)
    assert not path.exists(), "the kernel answers from its negative entry: without that this test proves nothing"
    mounted.call("arrive", path="late", text="there", tell=True)
    assert path.read_text() == "there"


def test_a_name_that_nobody_has_looked_up(mounted: Mounted) -> None:
    mounted.call("arrive", path="unasked", text="there", tell=True)
    assert (mounted.root / "unasked").read_text() == "there"


def test_opening_to_create_what_has_just_arrived(mounted: Mounted) -> None:
    """The kernel still believes that there is no such file. It looks again and opens what came."""
    path = mounted.root / "late"
    assert not path.exists()
    mounted.call("arrive", path="late", text="from elsewhere", tell=False)
    with open(path, "a") as file:
        file.write(" and from here")
    assert path.read_text() == "from elsewhere and from here"


def test_creating_exclusively_what_has_just_arrived(mounted: Mounted) -> None:
    assert not (mounted.root / "late").exists()
    mounted.call("arrive", path="late", text="from elsewhere", tell=False)
    fails(errno.EEXIST, (mounted.root / "late").open, "x")


def test_opening_what_has_just_been_replaced(mounted: Mounted) -> None:
    """The kernel still knows the old inode, which is gone. It looks again and opens the new one."""
    path = mounted.root / "file"
    path.write_text("old")
    assert path.stat().st_size == 3
    mounted.call("opened_at_most", handles=0)
    mounted.call("arrive", path="file", text="new", tell=False)
    assert path.read_text() == "new"


def test_what_was_deleted_elsewhere(mounted: Mounted) -> None:
    path = mounted.root / "file"
    path.write_text("x")
    with open(path) as reader:
        mounted.call("vanish", path="file", tell=True)
        assert not path.exists()
        assert reader.read() == "x"
    path.write_text("again")
    assert path.read_text() == "again"


def test_a_hard_link_edited_by_one_name_breaks(mounted: Mounted) -> None:
    (mounted.root / "a").write_text("both")
    os.link(mounted.root / "a", mounted.root / "b")
    mounted.call("arrive", path="a", text="alone", tell=True)
    assert (mounted.root / "a").read_text() == "alone"
    assert (mounted.root / "b").read_text() == "both"


def test_the_directory_shows_what_came_and_went(mounted: Mounted) -> None:
    directory = mounted.root / "d"
    directory.mkdir()
    (directory / "one").write_text("1")
    before = 10**18  # long ago: the clock of the kernel's files moves in steps
    os.utime(directory, ns=(before, before))
    assert directory.stat().st_mtime_ns == before
    mounted.call("arrive", path="d/two", text="2", tell=True)
    assert sorted(os.listdir(directory)) == ["one", "two"]
    assert directory.stat().st_mtime_ns > before
    mounted.call("vanish", path="d/one", tell=True)
    assert os.listdir(directory) == ["two"]


def test_a_listing_that_is_open_meanwhile(mounted: Mounted) -> None:
    """What stays is given once; what comes and goes may be seen or not."""
    directory = mounted.root / "d"
    directory.mkdir()
    for number in range(2000):
        (directory / f"stays{number:04}").touch()
        (directory / f"goes{number:04}").touch()
    listing = Directory(directory)
    names = [name for name in (listing.read() for _ in range(100)) if name is not None]
    for number in range(0, 2000, 40):
        mounted.call("arrive", path=f"d/comes{number:04}", text="x", tell=True)
        mounted.call("vanish", path=f"d/goes{number:04}", tell=True)
    names += listing.rest()
    listing.close()
    assert len(names) == len(set(names))
    assert {name for name in names if name.startswith(b"stays")} == {b"stays%04d" % n for n in range(2000)}


def test_what_was_changed_on_an_entry_is_fetched(mounted: Mounted) -> None:
    path = mounted.root / "file"
    path.write_text("old bytes!")
    with open(path) as reader:
        assert reader.read(3) == "old"
        number = mounted.call("edit", path="file", text="new bytes, and longer", tell=True)
        assert (path.stat().st_ino, path.stat().st_size) == (number, 21)
        assert path.read_text() == "new bytes, and longer"
        assert reader.read() == " bytes!"


def test_opening_what_was_replaced_while_others_have_it_open(mounted: Mounted) -> None:
    """The kernel was not told yet and comes with the old inode, which lives: it gets the new one all the same."""
    path = mounted.root / "file"
    path.write_text("old")
    with open(path, "r+") as other:
        number = mounted.call("edit", path="file", text="new bytes", tell=False)
        with open(path) as reader:
            assert os.fstat(reader.fileno()).st_ino == number
            assert reader.read() == "new bytes"
        other.truncate(1)  # who holds the old one still can do everything with it
        assert other.read() == "o"
        os.fchmod(other.fileno(), 0o600)


def test_what_a_program_saves_over_a_change_from_elsewhere_is_kept_beside_it(mounted: Mounted) -> None:
    path = mounted.root / "file"
    path.write_text("old")
    mounted.call("rescue", path="file (mine)")
    with open(path, "r+b", buffering=0) as writer:
        writer.write(b"mine, ")  # stays with the kernel
        mounted.call("edit", path="file", text="theirs", tell=True)
        writer.write(b"all of it")
    assert path.read_text() == "theirs"
    assert (mounted.root / "file (mine)").read_text() == "mine, all of it"


class Opener(threading.Thread):
    """Opens and reads a file, which may have to wait. `said`: its bytes, or the errno."""

    def __init__(self, path: Path, flags: int = os.O_RDONLY) -> None:
        super().__init__()
        self._path, self._flags = path, flags
        self.said: bytes | int | None = None
        self.start()

    def run(self) -> None:
        try:
            fd = os.open(self._path, self._flags)
        except OSError as error:
            self.said = error.errno
            return
        try:
            self.said = os.read(fd, 100)
        except OSError as error:
            self.said = error.errno
        finally:
            os.close(fd)

    def result(self) -> bytes | int | None:
        self.join(30)
        return self.said


@pytest.mark.parametrize("times", [1, 200_000], ids=["small", "large"])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR], ids=["to read", "to write"])
def test_opening_what_was_just_changed_there_waits_and_gets_the_new(mounted: Mounted, times: int, flags: int) -> None:
    mounted.call("plant", path="file", text="old bytes", times=times)
    rev = mounted.call("edit_unseen", path="file", text="new bytes")
    opener = Opener(mounted.root / "file", flags)
    mounted.call("doubted")
    mounted.call("take_over", path="file", text="new bytes", rev=rev)
    assert opener.result() == b"new bytes"


def test_what_is_changed_again_and_again_while_a_program_opens_it(mounted: Mounted) -> None:
    """The kernel looks a name up a second time, but not a third: what it finds then has to be here."""
    mounted.call("plant", path="file", text="state 0", times=1)
    rev = mounted.call("edit_unseen", path="file", text="state 1")
    opener = Opener(mounted.root / "file")
    for number in range(1, 6):
        mounted.call("doubted")
        newer = mounted.call("edit_unseen", path="file", text=f"state {number + 1}")
        mounted.call("take_over", path="file", text=f"state {number}", rev=rev)
        rev = newer
    mounted.call("doubted")
    mounted.call("take_over", path="file", text="state 6", rev=rev)
    assert opener.result() == b"state 6"


@pytest.mark.parametrize("times", [1, 200_000], ids=["small", "large"])
def test_opening_what_was_just_deleted_there(mounted: Mounted, times: int) -> None:
    mounted.call("plant", path="file", text="old bytes", times=times)
    mounted.call("delete_unseen", path="file")
    opener = Opener(mounted.root / "file")
    mounted.call("doubted")
    mounted.call("vanish", path="file", tell=False)
    assert opener.result() == errno.ENOENT


def test_reading_on_in_what_was_only_touched_there(mounted: Mounted) -> None:
    """The bytes are the same, under a new rev: who reads gets the rest of them."""
    mounted.call("plant", path="file", text="0123456789", times=600_000)
    with open(mounted.root / "file", "rb", buffering=0) as reader:
        assert reader.read(10) == b"0123456789"
        mounted.call("touch_unseen", path="file")
        got: list[bytes] = []
        reading = threading.Thread(target=lambda: got.append(os.pread(reader.fileno(), 10, 4_000_000)))
        reading.start()
        mounted.call("doubted")
        mounted.call("touched", path="file")
        reading.join(30)
        assert got == [b"0123456789"]


def test_reading_on_in_what_was_changed_there_is_refused(mounted: Mounted) -> None:
    """What is left of the old bytes is nowhere: a plain error, and no mixture."""
    mounted.call("plant", path="file", text="0123456789", times=600_000)
    with open(mounted.root / "file", "rb", buffering=0) as reader:
        assert reader.read(10) == b"0123456789"
        mounted.call("edit", path="file", text="new", tell=True)
        fails(errno.ESTALE, lambda: os.pread(reader.fileno(), 10, 4_000_000))
    assert (mounted.root / "file").read_bytes() == b"new"
