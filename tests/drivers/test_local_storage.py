"""What is particular to a directory on a disk: its mark, its trash, links that lead out, races and crashes."""

import errno
import json
import os
import socket
import stat
import time
from pathlib import Path

import pytest
import trio
from blake3 import blake3

from onitufs.drivers.conformance.subject import Bytes, upload
from onitufs.drivers.handlers import Gear
from onitufs.drivers.local_storage import syscalls
from onitufs.drivers.local_storage.answering import meaning
from onitufs.drivers.local_storage.driver import LocalStorage
from onitufs.drivers.local_storage.options import LocalStorageOptions
from onitufs.drivers.local_storage.placing import Placer
from onitufs.drivers.local_storage.reading import Reader
from onitufs.drivers.local_storage.tree import Tree
from onitufs.model.errors import (
    Conflict,
    Gone,
    NameNotAllowed,
    NeedsPerson,
    QuotaFull,
    ServiceError,
    Stale,
    TooLarge,
)
from onitufs.model.files import Kind


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def new(root):
    """Makes drivers, closes them."""
    made = []

    def new_driver(
        identity=None, *, kind=LocalStorage, now_s=time.time, where=root, create=True, trash_days=30, watch="auto"
    ):
        options = LocalStorageOptions(root=where, create=create, trash_days=trash_days, watch=watch)
        gear = Gear(
            entry="disk",
            identity=identity,
            work_dir=root.parent / "work",
            now_s=now_s,
            check_cancelled=lambda: None,
            run=trio.to_thread.run_sync,
        )
        made.append(kind(options, gear))
        return made[-1]

    yield new_driver
    for driver in made:
        driver.close()


@pytest.fixture
def disk(new):
    driver = new()
    driver.connect()
    return driver


def put(disk, name, data, base=None, mode=0o644):
    return disk.upload_file(upload(name, data, base, mode), Bytes(data))


def everything(root: Path) -> dict[str, bytes]:
    """Every file of the root, also in the private directory, but for its mark and lock."""
    found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and not p.is_symlink()}
    return {name: data for name, data in found.items() if name not in (".onitufs/identity.json", ".onitufs/lock")}


# -- the mark ----------------------------------------------------------------------------------------------------------


def test_what_is_free_is_what_is_free_on_its_disk(disk, root):
    free, total = disk.free_space()
    seen = os.statvfs(root)
    assert total == seen.f_blocks * seen.f_frsize
    assert 0 < free <= total


def test_a_root_is_made_and_marked_at_first_use(new, root):
    identity = new().connect()
    assert json.loads((root / ".onitufs/identity.json").read_text())["identity"] == identity
    assert stat.S_IMODE((root / ".onitufs").stat().st_mode) == 0o700


def test_the_mark_of_an_earlier_life_is_taken_over(new, root):
    first = new()
    identity = first.connect()
    first.close()
    assert new().connect() == identity


@pytest.mark.parametrize("handler", ["connect", "probe"])
def test_an_empty_mount_point_is_not_the_disk(new, root, handler):
    root.mkdir()
    with pytest.raises(NeedsPerson, match="is its disk mounted"):
        getattr(new("the-disk"), handler)()
    assert os.listdir(root) == []


@pytest.mark.parametrize("handler", ["connect", "probe"])
def test_a_known_root_is_never_made_anew(new, root, handler):
    with pytest.raises(NeedsPerson, match="is its disk mounted"):
        getattr(new("the-disk"), handler)()
    assert not root.exists()


@pytest.mark.parametrize("handler", ["connect", "probe"])
def test_a_root_whose_parent_is_missing_is_not_made(new, root, handler):
    with pytest.raises(NeedsPerson, match="correct the root"):
        getattr(new(where=root / "deep" / "er"), handler)()
    with pytest.raises(NeedsPerson, match="option create"):
        getattr(new(create=False), handler)()
    root.write_bytes(b"")
    with pytest.raises(NeedsPerson, match="not a directory"):
        getattr(new(), handler)()


@pytest.mark.parametrize("mark", [b"", b"{}", b"[]", b'{"identity": 3}', b"\xff"])
def test_a_damaged_mark_is_said(new, root, mark):
    driver = new()
    identity = driver.connect()
    driver.close()
    (root / ".onitufs/identity.json").write_bytes(mark)
    with pytest.raises(NeedsPerson, match="damaged"):
        new(identity).connect()


def test_two_entries_do_not_share_a_root(new, disk):
    second = new()
    with pytest.raises(NeedsPerson, match="in use"):
        second.connect()
    second.close()
    disk.close()
    new().connect()


def test_a_root_that_is_replaced_while_in_use_is_noticed(disk, root):
    root.rename(root.parent / "unmounted")
    root.mkdir()
    with pytest.raises(ServiceError):
        put(disk, (b"f",), b"x")
    root.rmdir()
    with pytest.raises(ServiceError):
        put(disk, (b"f",), b"x")
    assert not root.exists()


def test_half_made_temps_are_cleared_at_start(new, root):
    first = new()
    first.connect()
    (root / ".onitufs/tmp/left").write_bytes(b"half")
    first.close()
    new().connect()
    assert os.listdir(root / ".onitufs/tmp") == []


# -- nothing is followed -----------------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "f").write_bytes(b"precious")
    return directory


def test_a_planted_link_is_not_followed(disk, root, outside):
    state = put(disk, (b"plain",), b"x")
    (root / "d").symlink_to(outside)
    (root / "l").symlink_to(outside / "f")
    path = (b"d", b"f")
    with pytest.raises(Gone):
        put(disk, path, b"x")
    with pytest.raises(Gone):
        put(disk, (b"d", b"new"), b"x")
    with pytest.raises(Gone):
        disk.make_directory((b"d", b"new"), 0o755)
    with pytest.raises(Gone):
        disk.make_symlink((b"d", b"new"), b"x", 0, None)
    with pytest.raises(Gone):
        disk.move_file((b"plain",), state.rev, Kind.FILE, path, None)
    with pytest.raises(Gone):
        disk.move_file(path, state.rev, Kind.FILE, (b"x",), None)
    with pytest.raises(Gone):
        disk.set_attributes(path, state.rev, Kind.FILE, 0o777, 0)
    with pytest.raises(Gone):
        disk.digest(path)
    disk.delete_file(path, state.rev)
    assert disk.remove_directory((b"d", b"new"), "")
    assert disk.stat(path) is None
    with pytest.raises(Conflict):
        put(disk, (b"l",), b"x")
    with pytest.raises(Conflict):
        disk.digest((b"l",))
    assert not disk.remove_directory((b"d",), "")
    assert disk.stat((b"l",)).kind is Kind.SYMLINK
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"f": b"precious"}


def test_attributes_are_not_given_through_a_link(disk, root, outside):
    disk.make_symlink((b"l",), os.fsencode(outside / "f"), 10**18, None)
    before = (outside / "f").stat()
    state = disk.stat((b"l",)).state
    disk.set_attributes((b"l",), state.rev, Kind.SYMLINK, 0o600, 123_000_000_000)
    with pytest.raises(Conflict):
        disk.set_attributes((b"l",), state.rev, Kind.FILE, 0o600, 123)
    after = (outside / "f").stat()
    assert (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns)
    assert (root / "l").lstat().st_mtime_ns == 123_000_000_000


@pytest.mark.parametrize("name", ["", "tmp", "trash", "parked"])
def test_a_private_directory_that_is_a_link_is_refused(new, root, outside, name):
    root.mkdir()
    private = root / ".onitufs"
    if name:
        private.mkdir()
        private /= name
    private.symlink_to(outside)
    with pytest.raises(NeedsPerson, match="is a link or a file"):
        new().connect()
    assert [path.name for path in outside.iterdir()] == ["f"]


def test_a_link_planted_in_the_trash_is_not_followed(disk, root, outside):
    disk.make_directory((b"d",), 0o755)
    state = put(disk, (b"d", b"f"), b"old")
    day = time.strftime("%Y-%m-%d")
    (root / ".onitufs/trash" / day).mkdir()
    (root / ".onitufs/trash" / day / "d").symlink_to(outside)
    put(disk, (b"d", b"f"), b"new", state.rev)
    assert [path.name for path in outside.iterdir()] == ["f"]
    assert (root / ".onitufs/trash" / day / "d~" / "f").read_bytes() == b"old"


# -- one step ----------------------------------------------------------------------------------------------------------


class RacedPlacer(Placer):
    """Somebody saves the same file in the very moment in which it is replaced."""

    def replace(self, directories, name, source, path, there):
        if path == (b"f",):
            other = self._tree.root / "theirs"
            other.write_bytes(b"theirs")
            other.rename(self._tree.root / "f")
        super().replace(directories, name, source, path, there)


class Raced(LocalStorage):
    placer = RacedPlacer


@pytest.mark.parametrize("exchange", [True, False])
def test_a_save_between_the_look_and_the_replacement_is_not_lost(new, root, exchange):
    disk = new(kind=Raced)
    disk.connect()
    disk._opened.can_exchange = exchange
    state = put(disk, (b"f",), b"one")
    with pytest.raises(Conflict):
        put(disk, (b"f",), b"two", state.rev)
    assert (root / "f").read_bytes() == b"theirs"
    assert b"two" not in everything(root).values()
    second = put(disk, (b"g",), b"ours")
    with pytest.raises(Conflict):
        disk.move_file((b"g",), second.rev, Kind.FILE, (b"f",), disk.stat((b"f",)).state.rev)
    assert (root / "f").read_bytes() == b"theirs"
    assert b"ours" in everything(root).values()


def test_without_exchange_a_move_that_fails_leaves_its_file_where_it_was(new, root):
    disk = new(kind=Raced)
    disk.connect()
    put(disk, (b"f",), b"one")
    moved = put(disk, (b"g",), b"ours")
    with pytest.raises(Conflict):
        disk.move_file((b"g",), moved.rev, Kind.FILE, (b"f",), disk.stat((b"f",)).state.rev)
    assert (root / "g").read_bytes() == b"ours"


@pytest.mark.parametrize("lacks", [["can_exchange"], ["can_noreplace"], ["can_exchange", "can_noreplace", "can_link"]])
def test_a_disk_that_can_do_less_does_the_same(disk, root, lacks):
    for ability in lacks:
        setattr(disk._opened, ability, False)
    state = put(disk, (b"f",), b"one")
    with pytest.raises(Conflict):
        put(disk, (b"f",), b"two")
    state = put(disk, (b"f",), b"two", state.rev)
    other = put(disk, (b"g",), b"three")
    disk.move_file((b"g",), other.rev, Kind.FILE, (b"f",), state.rev)
    assert sorted(everything(root).values()) == [b"one", b"three", b"two"]
    assert (root / "f").read_bytes() == b"three"


@pytest.mark.parametrize("call", ["rename_new", "exchange"])
def test_killed_in_a_replacement(new, root, call):
    """At the worst instants the name holds one whole file, and the next session goes on from there."""
    first = new()
    identity = first.connect()
    state = put(first, (b"f",), b"old")
    first.close()
    child = os.fork()
    if child == 0:
        driver = new(identity)
        driver.connect()
        real = getattr(driver._opened, call)

        def die(*args):
            if call == "exchange":
                real(*args)
            os._exit(9)

        setattr(driver._opened, call, die)
        try:
            put(driver, (b"f",), b"new", state.rev)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert (root / "f").read_bytes() == (b"old" if call == "rename_new" else b"new")
    again = new(identity)
    again.connect()
    assert os.listdir(root / ".onitufs/tmp") == []
    assert b"old" in everything(root).values()
    found = again.stat((b"f",))
    put(again, (b"f",), b"newer", found.state.rev)
    assert (root / "f").read_bytes() == b"newer"


def test_a_source_that_shrank_is_stale_and_leaves_nothing(disk, root):
    with pytest.raises(Stale):
        disk.upload_file(upload((b"f",), b"12345"), Bytes(b"123"))
    assert everything(root) == {}


def test_set_id_bits_are_never_placed(disk, root):
    put(disk, (b"f",), b"x", mode=0o755)
    assert stat.S_IMODE((root / "f").stat().st_mode) == 0o755


def test_a_directory_stays_open_to_us(disk, root):
    disk.make_directory((b"d",), 0o055)
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o755


def test_a_foreign_file_that_appears_in_a_batch(disk, root):
    class Late(Bytes):
        def copy_into(self, fd, tick=None):
            (root / "f1").write_bytes(b"theirs")
            return super().copy_into(fd, tick)

    wanted = [(upload((b"f%d" % n,), b"ours"), Late(b"ours")) for n in range(3)]
    answers = disk.upload_batch(wanted)
    assert isinstance(answers[1], Conflict)
    assert {name: (root / name).read_bytes() for name in ("f0", "f1", "f2")} == {
        "f0": b"ours",
        "f1": b"theirs",
        "f2": b"ours",
    }
    assert os.listdir(root / ".onitufs/tmp") == []


# -- trash -------------------------------------------------------------------------------------------------------------


def test_trash_is_found_by_day_and_path(new, root):
    disk = new(now_s=lambda: 1_000_000_000.0)
    disk.connect()
    disk.make_directory((b"d",), 0o755)
    state = put(disk, (b"d", b"f"), b"0")
    for number in range(1, 5):
        state = put(disk, (b"d", b"f"), b"%d" % number, state.rev)
    disk.delete_file((b"d", b"f"), state.rev)
    day = time.strftime("%Y-%m-%d", time.localtime(1_000_000_000))
    clock = time.strftime("%H%M%S", time.localtime(1_000_000_000))
    trash = {path.name: path.read_bytes() for path in (root / ".onitufs/trash" / day / "d").iterdir()}
    assert trash == {
        "f": b"0",
        f"f~{clock}": b"1",
        f"f~{clock}-2": b"2",
        f"f~{clock}-3": b"3",
        f"f~{clock}-4": b"4",
    }


def test_names_that_are_as_long_as_can_be_have_their_place_in_the_trash(disk, root):
    name = "ö".encode() * 127 + b"x"
    disk.make_directory((name,), 0o755)
    state = put(disk, (name, name), b"0")
    for number in range(3):
        state = put(disk, (name, name), b"%d" % number, state.rev)
    assert len([path for path in (root / ".onitufs/trash").rglob("*") if path.is_file()]) == 3


def test_trash_of_a_file_where_a_directory_was(disk, root):
    state = put(disk, (b"x",), b"file")
    disk.delete_file((b"x",), state.rev)
    disk.make_directory((b"x",), 0o755)
    state = put(disk, (b"x", b"y"), b"below")
    disk.delete_file((b"x", b"y"), state.rev)
    assert sorted(everything(root).values()) == [b"below", b"file"]


def test_old_trash_is_cleaned_away_and_nothing_else(new, root, outside):
    disk = new(trash_days=30)
    disk.connect()
    trash = root / ".onitufs/trash"
    today = time.time()
    for days in (0, 29, 31, 400):
        day = trash / time.strftime("%Y-%m-%d", time.localtime(today - days * 86400))
        (day / "deep" / "er").mkdir(parents=True)
        (day / "deep" / "er" / "f").write_bytes(b"%d" % days)
        (day / "link").symlink_to(outside)
    (trash / "mine").mkdir()
    assert not disk.tend()
    assert sorted(everything(root).values()) == [b"0", b"29"]
    assert len(list(trash.iterdir())) == 3
    assert (outside / "f").read_bytes() == b"precious"


def test_cleaning_is_done_in_portions(new, root, monkeypatch):
    monkeypatch.setattr("onitufs.drivers.local_storage.trash._AT_ONCE", 10)
    disk = new()
    disk.connect()
    day = root / ".onitufs/trash/2001-01-01"
    day.mkdir()
    for number in range(25):
        (day / str(number)).write_bytes(b"")
    assert disk.tend()
    assert len(list(day.iterdir())) == 15
    assert disk.tend()
    assert not disk.tend()
    assert not day.exists()


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, QuotaFull),
        (errno.EDQUOT, QuotaFull),
        (errno.EROFS, NeedsPerson),
        (errno.EACCES, NeedsPerson),
        (errno.EPERM, NeedsPerson),
        (errno.ENAMETOOLONG, NameNotAllowed),
        (errno.EINVAL, NameNotAllowed),
        (errno.EILSEQ, NameNotAllowed),
        (errno.EXDEV, NameNotAllowed),
        (errno.EFBIG, TooLarge),
        (errno.ENOENT, Gone),
        (errno.ELOOP, Gone),
        (errno.ENOTEMPTY, Conflict),
        (errno.EIO, ServiceError),
        (errno.ESTALE, ServiceError),
        (errno.ENODEV, ServiceError),
    ],
)
def test_what_an_errno_means(code, error):
    found = meaning(OSError(code, os.strerror(code)), Path("/mnt/disk"), (b"a\xff", b"b"))
    assert type(found) is error
    assert "/mnt/disk" in str(found)
    assert "a\\xff/b" in str(found)
    if error in (QuotaFull, NeedsPerson, NameNotAllowed, TooLarge):
        assert "; " in str(found) or code == errno.EXDEV


# -- looking -----------------------------------------------------------------------------------------------------------


def test_a_root_without_its_mark_is_no_longer_the_place(disk, root):
    assert disk.stat(()).kind is Kind.DIRECTORY
    (root / ".onitufs/identity.json").rename(root.parent / "mark")
    with pytest.raises(NeedsPerson, match="is its disk mounted"):
        disk.stat(())
    (root / ".onitufs").rename(root.parent / "private")
    with pytest.raises(NeedsPerson, match="is its disk mounted"):
        disk.stat(())


def test_without_its_mark_nothing_is_absent(disk, root):
    put(disk, (b"f",), b"x")
    (root / ".onitufs/identity.json").rename(root.parent / "mark")
    with pytest.raises(NeedsPerson, match="is its disk mounted"):
        disk.list_directory(())
    with pytest.raises(NeedsPerson, match="is its disk mounted"):
        disk.stat((b"no",))
    assert disk.stat((b"f",)) is not None


def test_only_files_directories_and_links_are_listed(disk, root):
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    put(disk, (b"f",), b"x")
    (root / "f").chmod(0o4755)
    (root / "link").symlink_to("/etc")
    found = dict(disk.list_directory(()))
    assert set(found) == {b"f", b"link"}
    assert found[b"f"].mode == 0o755
    assert (found[b"link"].kind, found[b"link"].target) == (Kind.SYMLINK, b"/etc")
    with pytest.raises(Gone):
        disk.list_directory((b"link",))
    with pytest.raises(Gone):
        disk.get_chunk((b"link", b"passwd"), "", 0, 10)
    for name in (b"link", b"fifo", b"socket"):
        with pytest.raises(Conflict):
            disk.get_chunk((name,), disk.stat((name,)).state.rev, 0, 10)


def test_what_is_renamed_while_a_directory_is_read_is_in_the_list(disk, root, monkeypatch):
    for number in range(10):
        put(disk, (b"%d" % number,), b"x")
    names = os.listdir
    renames = iter(range(3))

    def listdir(fd):
        """Read the half of it, somebody renames from the other half into this one, read the rest."""
        found = names(fd)
        number = next(renames, None)
        if number is not None:
            found.remove(str(number))
            (root / str(number)).rename(root / f"renamed {number}")
        return found

    monkeypatch.setattr(os, "listdir", listdir)
    found = {name for name, _ in disk.list_directory(())}
    assert found == {b"renamed 0", b"renamed 1", b"renamed 2", *(b"%d" % number for number in range(3, 10))}


def test_what_is_mounted_below_the_root_is_not_listed():
    tree = Tree.__new__(Tree)  # nothing is to be made in this root
    tree.root, tree.fd = Path("/"), os.open("/", os.O_RDONLY)
    reader = Reader(tree, lambda: None)
    with tree.directories() as directories:
        assert b"proc" in dict(reader.names(directories, ()))
        with pytest.raises(NameNotAllowed, match="another file system"):
            reader.names(directories, (b"proc",))
    tree.close()


def test_a_long_list_can_be_cancelled(new, root):
    driver = new()
    driver.connect()
    for number in range(200):
        (root / str(number)).write_bytes(b"")
    calls = []

    def check_cancelled():
        calls.append(0)
        if len(calls) == 3:
            raise LookupError

    driver._reader._check_cancelled = check_cancelled
    with pytest.raises(LookupError):
        driver.list_directory(())
    assert len(calls) == 3


class Plain(Reader):
    """On disks that neither share nor copy blocks."""

    def copy(self, source, fd, tick, path):
        return self._read(source, fd, tick, path)


class Copying(Reader):
    """Reader.copy where blocks cannot be shared."""

    def copy(self, source, fd, tick, path):
        assert self._copied(source, fd, os.fstat(source).st_size, tick, path)
        return b""


@pytest.mark.parametrize("kind", [Reader, Plain, Copying])
@pytest.mark.parametrize("size", [0, 1, 20_000_000])
def test_every_way_of_fetching(disk, root, kind, size, tmp_path):
    data = os.urandom(size)
    (root / "f").write_bytes(data)
    disk._reader.__class__ = kind
    ticks = [0]
    with open(tmp_path / "fetched", "w+b") as file:
        digest = disk.get_file((b"f",), disk.stat((b"f",)).state.rev, file.fileno(), ticks.append)
        assert file.read() == data
    assert digest == (blake3(data).digest() if kind is Plain else digest)
    assert ticks[-1] == size


def test_a_full_disk_of_the_other_side_is_not_the_entrys(disk, root):
    put(disk, (b"f",), b"x")
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="No space left"):
            disk.get_file((b"f",), disk.stat((b"f",)).state.rev, fd, lambda _: None)
    finally:
        os.close(fd)


def test_a_file_system_without_times_of_birth(disk, root, monkeypatch):
    put(disk, (b"f",), b"x")
    whole = disk.stat((b"f",))
    monkeypatch.setattr(syscalls, "_statx", None)
    found = disk.stat((b"f",))
    assert found.state.remote_id == whole.state.remote_id.partition(".")[0]
    assert found.state.rev == whole.state.rev
    assert (found.size, found.mtime_ns, found.mode, found.kind) == (
        whole.size, whole.mtime_ns, whole.mode, whole.kind,
    )  # fmt: skip
