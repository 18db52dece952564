"""Bytes: how programs write them, and that they are there."""

import fcntl
import mmap
import os
from collections.abc import Callable
from pathlib import Path

from .calls import Mapping
from .mounted import Mounted

PAGE = mmap.PAGESIZE


def test_o_trunc_empties_while_others_read(place: Path) -> None:
    (place / "file").write_bytes(b"a" * 10_000)
    fd = os.open(place / "file", os.O_WRONLY | os.O_TRUNC)
    assert os.stat(place / "file").st_size == 0
    os.write(fd, b"new")
    os.close(fd)
    assert (place / "file").read_bytes() == b"new"


def test_o_trunc_is_seen_by_who_has_the_file_open(place: Path) -> None:
    (place / "file").write_bytes(b"a" * 10_000)
    with open(place / "file", "rb") as reader, open(place / "file", "r+b", buffering=0) as writer:
        (place / "file").write_bytes(b"short")
        assert reader.read() == b"short"
        assert os.fstat(writer.fileno()).st_size == 5
        writer.seek(5)
        writer.write(b"er")
    assert (place / "file").read_bytes() == b"shorter"


def test_o_creat_without_o_excl_opens_what_is_there(place: Path) -> None:
    (place / "file").write_bytes(b"old bytes")
    fd = os.open(place / "file", os.O_RDWR | os.O_CREAT)
    assert os.pwrite(fd, b"new", 0) == 3
    os.close(fd)
    assert (place / "file").read_bytes() == b"new bytes"


def test_o_append_goes_to_the_end_from_each_descriptor(place: Path) -> None:
    one, other = (os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND) for _ in range(2))
    for number in range(50):
        os.write(one if number % 2 else other, b"%04d\n" % number)
    os.pwrite(one, b"also at the end\n", 0)  # pwrite(2): on Linux O_APPEND wins
    os.close(one)
    os.close(other)
    assert (place / "log").read_bytes() == b"".join(b"%04d\n" % n for n in range(50)) + b"also at the end\n"


def test_write_only_descriptors_may_write_parts_of_pages(place: Path) -> None:
    """With the write-back cache the kernel reads the page first, through the descriptor that only writes."""
    (place / "file").write_bytes(b"." * 3 * PAGE)
    fd = os.open(place / "file", os.O_WRONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.pwrite(fd, b"middle", PAGE + 7)
    os.close(fd)
    expected = bytearray(b"." * 3 * PAGE)
    expected[PAGE + 7 : PAGE + 13] = b"middle"
    assert (place / "file").read_bytes() == expected


def test_o_direct(place: Path) -> None:
    buffer = mmap.mmap(-1, PAGE)
    buffer[:] = b"d" * PAGE
    fd = os.open(place / "file", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    assert os.pwritev(fd, [buffer], PAGE) == PAGE
    assert os.preadv(fd, [buffer], 0) == PAGE
    assert buffer[:] == bytes(PAGE)
    os.close(fd)
    assert (place / "file").read_bytes() == bytes(PAGE) + b"d" * PAGE


def test_truncate_shorter_and_longer(place: Path) -> None:
    path = place / "file"
    path.write_bytes(b"0123456789")
    os.truncate(path, 4)
    os.truncate(path, 8)
    assert path.read_bytes() == b"0123\0\0\0\0"
    with open(path, "r+b") as file:
        os.ftruncate(file.fileno(), 2)
        assert file.read() == b"01"
        os.ftruncate(file.fileno(), PAGE + 1)
        assert os.fstat(file.fileno()).st_size == PAGE + 1
    assert path.read_bytes() == b"01" + bytes(PAGE - 1)
    os.truncate(path, 0)
    assert path.read_bytes() == b""


def test_holes_cost_nothing(place: Path) -> None:
    with open(place / "file", "wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"x" * PAGE)
    found = (place / "file").stat()
    assert found.st_size == 64 << 20
    assert PAGE <= found.st_blocks * 512 < 1 << 20
    with open(place / "file", "rb") as file:
        assert file.read(PAGE) == bytes(PAGE)
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) <= 32 << 20
        assert os.lseek(file.fileno(), 63 << 20, os.SEEK_HOLE) <= 64 << 20


def test_blocks_of_a_file_just_saved(place: Path) -> None:
    (place / "file").write_bytes(b"x" * 10 * PAGE)
    assert (place / "file").stat().st_blocks * 512 >= 10 * PAGE


def test_posix_fallocate(place: Path) -> None:
    with open(place / "file", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 3 * PAGE)
    assert (place / "file").read_bytes() == bytes(3 * PAGE)


def test_copy_file_range_and_sendfile(place: Path) -> None:
    (place / "from").write_bytes(os.urandom(100_000))
    with open(place / "from", "rb") as source, open(place / "one", "wb") as one, open(place / "two", "wb") as two:
        left = 100_000
        while left:
            left -= os.copy_file_range(source.fileno(), one.fileno(), left, 100_000 - left)
        left = 100_000
        while left:
            left -= os.sendfile(two.fileno(), source.fileno(), 100_000 - left, left)
    assert (place / "one").read_bytes() == (place / "two").read_bytes() == (place / "from").read_bytes()


def test_shared_mappings_and_descriptors_see_one_file(place: Path) -> None:
    fd = os.open(place / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 2 * PAGE)
    one, other = Mapping(fd, 2 * PAGE), Mapping(fd, 2 * PAGE)
    one.store(PAGE - 2, b"across")
    assert other.load(PAGE - 2, 6) == os.pread(fd, 6, PAGE - 2) == b"across"
    os.pwrite(fd, b"by write", 0)
    assert one.load(0, 8) == b"by write"
    one.sync()
    for mapping in (one, other):
        mapping.close()
    os.close(fd)
    assert (place / "file").read_bytes()[:8] == b"by write"
    assert (place / "file").read_bytes()[PAGE - 2 : PAGE + 4] == b"across"


def test_stores_after_the_last_close(mount: Callable[..., Mounted]) -> None:
    """They come without a FLUSH, and are there after a kill -9 that follows munmap."""
    mounted = mount().start()
    path = mounted.root / "file"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(PAGE))
    mapping = Mapping(fd, PAGE)
    os.close(fd)
    mapping.store(100, b"late")
    mapping.close()
    assert path.read_bytes()[100:104] == b"late"
    mounted.call("opened_at_most", handles=0)  # munmap does not wait for its RELEASE
    mounted.kill()
    mounted.start()
    assert path.read_bytes()[100:104] == b"late"


def test_stores_that_are_synced_survive_a_kill(mount: Callable[..., Mounted]) -> None:
    mounted = mount().start()
    fd = os.open(mounted.root / "file", os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(PAGE))
    mapping = Mapping(fd, PAGE)
    os.close(fd)
    mapping.store(0, b"synced")
    mapping.sync()
    mounted.kill()
    mapping.close()
    mounted.start()
    assert (mounted.root / "file").read_bytes()[:6] == b"synced"


def test_what_close_answered_survives_a_kill(mount: Callable[..., Mounted]) -> None:
    mounted = mount().start()
    (mounted.root / "d").mkdir()
    (mounted.root / "d" / "new").write_bytes(b"closed")
    (mounted.root / "edited").write_bytes(b"first")
    with open(mounted.root / "edited", "r+b") as file:
        file.write(b"FI")
    os.rename(mounted.root / "d" / "new", mounted.root / "renamed")
    os.symlink("renamed", mounted.root / "link")
    mounted.kill()
    mounted.start()
    assert (mounted.root / "link").read_bytes() == b"closed"
    assert (mounted.root / "edited").read_bytes() == b"FIrst"
    assert list((mounted.root / "d").iterdir()) == []


def test_fsync_waits_for_the_disk(mounted: Mounted, here: Path) -> None:
    with open(here / "file", "wb") as file:
        file.write(b"x")
        file.flush()
        assert not mounted.call("is_durable")
        os.fsync(file.fileno())
        assert mounted.call("is_durable")
        os.fchmod(file.fileno(), 0o600)
        os.fdatasync(file.fileno())
        assert mounted.call("is_durable")


def test_fsync_of_a_directory_waits_for_the_disk(mounted: Mounted, here: Path) -> None:
    (here / "file").touch()
    fd = os.open(here, os.O_RDONLY)
    assert not mounted.call("is_durable")
    os.fsync(fd)
    assert mounted.call("is_durable")
    os.close(fd)


def test_each_close_of_a_duplicate_seals(mounted: Mounted, here: Path) -> None:
    fd = os.open(here / "file", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"one")
    os.close(os.dup(fd))
    number = os.fstat(fd).st_ino
    first = mounted.call("generation", number=number)
    os.write(fd, b"two")
    os.close(fd)
    assert 0 < first < mounted.call("generation", number=number)
    assert (here / "file").read_bytes() == b"onetwo"


def test_locks(place: Path) -> None:
    (place / "file").touch()
    one, other = (os.open(place / "file", os.O_RDWR) for _ in range(2))
    fcntl.flock(one, fcntl.LOCK_EX)
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        raise AssertionError("two exclusive locks")
    fcntl.flock(one, fcntl.LOCK_UN)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(one)
    os.close(other)


def test_a_program_runs_from_here(place: Path) -> None:
    script = place / "script"
    script.write_text("#!/bin/sh\nexit 7\n")
    script.chmod(0o755)
    assert os.waitstatus_to_exitcode(os.spawnv(os.P_WAIT, script, [str(script)]) << 8) == 7
