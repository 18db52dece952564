"""Names: what may stand in a directory, and what becomes of it."""

import errno
import os
import stat
from pathlib import Path

from . import calls
from .expecting import fails
from .mounted import Mounted


def test_names_of_any_bytes(place: Path) -> None:
    names = [b"\xff\xfe\x01", b" ", b"new\nline", b"back\\slash", "Grüße".encode(), b"...", b"-rf", bytes([0x80]) * 255]
    above = os.fsencode(place)
    for name in names:
        with open(above + b"/" + name, "wb") as file:
            file.write(name)
    assert sorted(os.listdir(above)) == sorted(names)
    for name in names:
        with open(above + b"/" + name, "rb") as file:
            assert file.read() == name
        os.unlink(above + b"/" + name)
    assert os.listdir(above) == []


def test_a_name_has_at_most_255_bytes(place: Path) -> None:
    assert os.statvfs(place).f_namemax == 255
    (place / ("n" * 255)).mkdir()
    long = place / ("n" * 256)
    for call in (os.mkdir, os.stat, os.unlink, os.rmdir, os.listdir, os.mkfifo):
        fails(errno.ENAMETOOLONG, call, long)
    fails(errno.ENAMETOOLONG, open, long, "w")
    fails(errno.ENAMETOOLONG, os.symlink, "x", long)
    fails(errno.ENAMETOOLONG, os.rename, place / ("n" * 255), long)
    (place / "file").touch()
    fails(errno.ENAMETOOLONG, os.link, place / "file", long)


def test_a_path_deeper_than_4096_bytes(place: Path) -> None:
    levels, name = 30, "d" * 250
    at = os.open(place, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    fd = os.open("file", os.O_CREAT | os.O_RDWR, 0o644, dir_fd=at)
    os.write(fd, b"deep")
    os.fsync(fd)
    assert os.pread(fd, 10, 0) == b"deep"
    os.rename("file", "moved", src_dir_fd=at, dst_dir_fd=at)
    assert os.listdir(at) == ["moved"]
    os.unlink("moved", dir_fd=at)
    os.close(fd)
    for _ in range(levels):
        above = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = above
        os.rmdir(name, dir_fd=at)
    os.close(at)
    assert list(place.iterdir()) == []


def test_creating_what_is_there(place: Path) -> None:
    (place / "file").write_text("old")
    (place / "directory").mkdir()
    fails(errno.EEXIST, os.open, place / "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    for name in ("file", "directory"):
        fails(errno.EEXIST, os.mkdir, place / name)
        fails(errno.EEXIST, os.symlink, "x", place / name)
        fails(errno.EEXIST, os.mkfifo, place / name)
        fails(errno.EEXIST, os.link, place / "file", place / name)
    assert (place / "file").read_text() == "old"
    os.close(os.open(place / "new", os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def test_kinds_are_told_apart(place: Path) -> None:
    (place / "file").touch()
    (place / "full").mkdir()
    (place / "full" / "x").touch()
    fails(errno.EISDIR, os.open, place / "full", os.O_WRONLY)
    fails(errno.EISDIR, os.unlink, place / "full")
    fails(errno.ENOTDIR, os.rmdir, place / "file")
    fails(errno.ENOTEMPTY, os.rmdir, place / "full")
    fails(errno.ENOTDIR, os.stat, place / "file" / "below")
    fails(errno.ENOENT, os.stat, place / "absent")
    fails(errno.ENOENT, os.mkdir, place / "absent" / "below")
    fails(errno.EINVAL, os.readlink, place / "file")
    fails(errno.EPERM, os.link, place / "full", place / "second")


def test_rename_replaces_in_one_step(place: Path) -> None:
    (place / "old").write_text("old")
    (place / "new").write_text("new")
    with open(place / "old") as reader:
        (place / "new").rename(place / "old")
        assert reader.read() == "old", "who had it open keeps what he opened"
        assert os.fstat(reader.fileno()).st_nlink == 0
    assert (place / "old").read_text() == "new"
    assert [p.name for p in place.iterdir()] == ["old"]


def test_rename_over_the_wrong_kind(place: Path) -> None:
    (place / "file").touch()
    (place / "empty").mkdir()
    (place / "full").mkdir()
    (place / "full" / "x").touch()
    fails(errno.EISDIR, os.rename, place / "file", place / "empty")
    fails(errno.ENOTDIR, os.rename, place / "empty", place / "file")
    fails(errno.ENOTEMPTY, os.rename, place / "empty", place / "full")
    fails(errno.EINVAL, os.rename, place / "full", place / "full" / "below")
    os.rename(place / "full", place / "empty")
    assert [p.name for p in (place / "empty").iterdir()] == ["x"]


def test_rename_of_one_file_onto_its_other_name_does_nothing(place: Path) -> None:
    (place / "a").touch()
    os.link(place / "a", place / "b")
    os.rename(place / "a", place / "b")
    assert sorted(p.name for p in place.iterdir()) == ["a", "b"]


def test_rename_noreplace(place: Path) -> None:
    (place / "a").write_text("a")
    (place / "b").write_text("b")
    fails(errno.EEXIST, calls.rename, place / "a", place / "b", calls.NOREPLACE)
    assert (place / "b").read_text() == "b"
    calls.rename(place / "a", place / "c", calls.NOREPLACE)
    assert (place / "c").read_text() == "a"


def test_rename_exchange(place: Path) -> None:
    (place / "file").write_text("file")
    (place / "above" / "directory").mkdir(parents=True)
    (place / "above" / "directory" / "x").write_text("x")
    numbers = [(place / name).stat().st_ino for name in ("file", "above/directory")]
    calls.rename(place / "file", place / "above" / "directory", calls.EXCHANGE)
    assert (place / "above" / "directory").read_text() == "file"
    assert (place / "file" / "x").read_text() == "x"
    assert [(place / name).stat().st_ino for name in ("above/directory", "file")] == numbers
    assert place.stat().st_nlink == 4
    assert (place / "above").stat().st_nlink == 2
    fails(errno.ENOENT, calls.rename, place / "file", place / "absent", calls.EXCHANGE)


def test_rename_with_other_flags_is_refused(here: Path) -> None:
    (here / "a").touch()
    fails(errno.EINVAL, calls.rename, here / "a", here / "b", calls.WHITEOUT)
    fails(errno.EINVAL, calls.rename, here / "a", here / "b", calls.NOREPLACE | calls.EXCHANGE)
    fails(errno.EINVAL, calls.rename, here / "a", here / "b", 1 << 10)
    assert [p.name for p in here.iterdir()] == ["a"]


def test_links_of_directories_count_their_subdirectories(place: Path) -> None:
    def links(name: str = "") -> int:
        return (place / name).stat().st_nlink

    (place / "one" / "below").mkdir(parents=True)
    (place / "two").mkdir()
    (place / "file").touch()
    assert (links(), links("one"), links("two")) == (4, 3, 2)
    os.rename(place / "one" / "below", place / "two" / "below")
    assert (links("one"), links("two")) == (2, 3)
    os.rename(place / "one", place / "two" / "below")  # replaces an empty directory
    assert (links(), links("two")) == (3, 3)
    (place / "two" / "below").rmdir()
    assert (links(), links("two")) == (3, 2)


def test_hard_links_are_one_file(place: Path) -> None:
    (place / "a").write_text("one")
    os.link(place / "a", place / "b")
    assert (place / "a").stat().st_nlink == 2
    assert (place / "a").samefile(place / "b")
    (place / "b").write_text("two")
    assert (place / "a").read_text() == "two"
    os.chmod(place / "a", 0o600)
    assert stat.S_IMODE((place / "b").stat().st_mode) == 0o600
    (place / "a").unlink()
    assert (place / "b").read_text() == "two"
    assert (place / "b").stat().st_nlink == 1


def test_symlinks(place: Path) -> None:
    target = "t" * 1000 + "/\xff"
    os.symlink(os.fsencode(target), place / "link")
    assert os.readlink(os.fsencode(place / "link")) == os.fsencode(target)
    assert os.lstat(place / "link").st_size == len(os.fsencode(target))
    assert stat.S_ISLNK(os.lstat(place / "link").st_mode)
    (place / "file").write_text("through")
    os.symlink("file", place / "short")
    assert (place / "short").read_text() == "through"
    os.symlink("loop", place / "loop")
    fails(errno.ELOOP, os.stat, place / "loop")


def test_unlinked_while_open(place: Path) -> None:
    with open(place / "file", "w+b") as file:
        file.write(b"before")
        file.flush()
        (place / "file").unlink()
        assert not (place / "file").exists()
        (place / "file").write_text("another one under the name")
        file.write(b" and after")
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), 0o640)
        os.ftruncate(file.fileno(), 12)
        found = os.fstat(file.fileno())
        assert (found.st_nlink, found.st_size, stat.S_IMODE(found.st_mode)) == (0, 12, 0o640)
        file.seek(0)
        assert file.read() == b"before and a"
        with open(f"/proc/self/fd/{file.fileno()}", "rb") as again:
            assert again.read() == b"before and a"
    assert (place / "file").read_text() == "another one under the name"


def test_what_was_unlinked_while_open_is_dropped_at_the_last_close(mounted: Mounted, here: Path) -> None:
    with open(here / "file", "wb") as file:
        file.write(b"x")
        number = os.fstat(file.fileno()).st_ino
        (here / "file").unlink()
        assert mounted.call("lookups", number=number) > 0
    mounted.call("forgotten", number=number)
    assert not mounted.call("known", number=number)


def test_a_directory_removed_while_open(place: Path) -> None:
    (place / "gone").mkdir()
    fd = os.open(place / "gone", os.O_RDONLY)
    (place / "gone").rmdir()
    fails(errno.ENOENT, os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    fails(errno.ENOENT, os.mkdir, "x", dir_fd=fd)
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)


def test_dot_and_dot_dot_name_the_right_inodes(place: Path) -> None:
    (place / "below").mkdir()
    directory = calls.Directory(place / "below")
    assert sorted(directory.rest()) == [b".", b".."]
    directory.close()
    assert (place / "below" / "..").stat().st_ino == place.stat().st_ino
    os.rename(place / "below", place / "moved")
    assert (place / "moved" / "..").stat().st_ino == place.stat().st_ino
