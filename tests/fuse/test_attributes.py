"""What stat(2) says, and what chmod, chown and utimensat make of it."""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .mounted import Mounted

COARSE = 5  # CLOCK_REALTIME_COARSE, which Python does not name
OLD = -1_500_000_001  # 1.5 s and 1 ns before 1970


def test_times_to_the_nanosecond_also_before_1970(place: Path) -> None:
    (place / "file").touch()
    for times in ((OLD, OLD - 1), (0, 0), (1, 999_999_999), (4_000_000_000_000_000_001, 123_456_789)):
        os.utime(place / "file", ns=times)
        found = (place / "file").stat()
        assert (found.st_atime_ns, found.st_mtime_ns) == times
    os.symlink("x", place / "link")
    os.utime(place / "link", ns=(OLD, OLD), follow_symlinks=False)
    assert os.lstat(place / "link").st_mtime_ns == OLD
    os.utime(place, ns=(OLD, OLD))
    assert place.stat().st_mtime_ns == OLD


def test_a_time_that_was_set_survives_bytes_still_on_their_way(mount: Callable[..., Mounted]) -> None:
    """cp -p sets the time before it closes, while the kernel still holds the bytes."""
    mounted = mount().start()
    with open(mounted.root / "file", "wb") as file:
        file.write(b"x" * 10_000)
        file.flush()
        os.utime(file.fileno(), ns=(OLD, OLD))
    assert (mounted.root / "file").stat().st_mtime_ns == OLD
    assert mounted.end() == 0
    mounted.start()
    assert (mounted.root / "file").stat().st_mtime_ns == OLD
    assert (mounted.root / "file").stat().st_size == 10_000


def _changes(path: Path, call: Callable[[], object]) -> set[str]:
    """Which of a file's times a call moved."""
    os.utime(path, ns=(OLD, OLD), follow_symlinks=False)
    before = os.lstat(path)
    while time.clock_gettime_ns(COARSE) <= before.st_ctime_ns:
        pass  # file times advance with the kernel's tick: it comes in a few ms
    call()
    after = os.lstat(path)
    moved = {"m"} if after.st_mtime_ns != before.st_mtime_ns else set()
    return moved | ({"c"} if after.st_ctime_ns != before.st_ctime_ns else set())


def test_which_times_a_change_moves(place: Path) -> None:
    directory, file = place / "d", place / "d" / "file"
    directory.mkdir()
    file.touch()
    assert _changes(file, lambda: file.chmod(0o640)) == {"c"}
    assert _changes(file, lambda: os.chown(file, os.getuid(), os.getgid())) == {"c"}
    assert _changes(file, lambda: file.write_bytes(b"x")) == {"c", "m"}
    assert _changes(file, lambda: os.truncate(file, 10)) == {"c", "m"}
    assert _changes(file, lambda: os.link(file, directory / "second")) == {"c"}
    assert _changes(file, lambda: (directory / "second").unlink()) == {"c"}
    assert _changes(file, lambda: file.read_bytes()) == set()
    assert _changes(directory, lambda: file.write_bytes(b"y")) == set()
    for call in (
        lambda: (directory / "new").touch(),
        lambda: os.rename(directory / "new", directory / "newer"),
        lambda: (directory / "newer").unlink(),
        lambda: (directory / "below").mkdir(),
        lambda: (directory / "below").rmdir(),
        lambda: os.symlink("x", directory / "link"),
        lambda: os.link(file, directory / "hard"),
        lambda: os.mkfifo(directory / "fifo"),
    ):
        assert _changes(directory, call) == {"c", "m"}


def test_the_daemon_stamps_with_the_clock_of_the_kernel(here: Path) -> None:
    """Some times are the kernel's (of bytes written), some the daemon's. Of two clocks, what is made first could look
    younger, and make(1) would build it again."""
    for number, call in enumerate((os.mknod, os.mkdir, os.mkfifo)):
        before = time.clock_gettime_ns(COARSE)
        call(here / str(number))
        assert before <= (here / str(number)).stat().st_mtime_ns <= time.clock_gettime_ns(COARSE)


def test_rename_moves_the_times_of_both_directories(place: Path) -> None:
    for name in ("one", "two"):
        (place / name).mkdir()
    (place / "one" / "file").touch()

    def move() -> None:
        os.rename(place / "one" / "file", place / "two" / "file")

    assert _changes(place / "one", move) == {"c", "m"}
    os.rename(place / "two" / "file", place / "one" / "file")
    assert _changes(place / "two", move) == {"c", "m"}


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o644, 0o777, 0o1755, 0o7777])
def test_modes(place: Path, mode: int) -> None:
    (place / "file").touch()
    (place / "directory").mkdir()
    for path in (place / "file", place / "directory"):
        path.chmod(mode)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert (place / "file").is_file()
    assert (place / "directory").is_dir()


def test_the_umask_is_applied_once(place: Path) -> None:
    before = os.umask(0o027)
    try:
        (place / "file").touch(0o666)
        (place / "directory").mkdir(0o777)
        os.mkfifo(place / "fifo", 0o666)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((place / name).stat().st_mode) for name in ("file", "directory", "fifo")]
    assert modes == [0o640, 0o750, 0o640]


def test_statfs_speaks_of_the_disk_below(mounted: Mounted) -> None:
    ours, disk = os.statvfs(mounted.root), os.statvfs(mounted.disk)
    assert (ours.f_bsize, ours.f_frsize, ours.f_blocks) == (disk.f_frsize, disk.f_frsize, disk.f_blocks)
    assert 0 < ours.f_bavail < disk.f_bavail + (64 << 20) // disk.f_frsize
    assert ours.f_files == disk.f_files
    assert ours.f_namemax == 255


def test_all_attributes_survive_a_remount(mount: Callable[..., Mounted]) -> None:
    mounted = mount().start()
    (mounted.root / "d").mkdir(0o751)
    (mounted.root / "d" / "file").write_bytes(b"x" * 5000)
    os.symlink("nowhere", mounted.root / "d" / "link")
    os.mkfifo(mounted.root / "d" / "fifo", 0o622)
    os.link(mounted.root / "d" / "file", mounted.root / "second")
    os.chmod(mounted.root / "d" / "file", 0o604)
    os.utime(mounted.root / "d", ns=(OLD, OLD))

    def seen() -> dict[str, tuple[object, ...]]:
        paths = [mounted.root, *mounted.root.rglob("*")]
        stats = {str(path): os.lstat(path) for path in paths}
        return {p: (*s[:4], *s[4:7], s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns) for p, s in stats.items()}

    before = {path: row[:2] + row[3:] for path, row in seen().items()}  # without st_dev
    assert mounted.end() == 0
    mounted.start()
    assert {path: row[:2] + row[3:] for path, row in seen().items()} == before
