"""A mount whose local store may take little: programs hear of it in time, and nothing is lost."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from .conftest import Maker
from .harness import Onitu, until

MIB = 1 << 20


@pytest.fixture
def small(new_onitu: Maker) -> Onitu:
    """40 MiB, of which 2 are the reserve; no rule names an entry, so that nothing can be let go of."""
    onitu = new_onitu(rules=[])
    onitu.extra = {"quota": "40 MiB"}
    onitu.write_setup()
    onitu.mount()
    until("the store is measured", lambda: onitu.status()["store"]["bytes"] is not None)
    return onitu


def fill(onitu: Onitu, name: str, size: int) -> None:
    (onitu.mnt / name).write_bytes(os.urandom(size))


def _written(fd: int, data: bytes) -> int | None:
    """As write(2) says; None if there is no room."""
    try:
        return os.write(fd, data)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return None


def _opened(path: Path) -> int | None:
    """A new file; None if there is no room."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return None


def test_statfs_shows_the_quota(small: Onitu) -> None:
    fill(small, "a", 10 * MIB)

    def room() -> tuple[int, int]:
        found = os.statvfs(small.mnt)
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

    until("it is told", lambda: room() == (40 * MIB, 28 * MIB))
    assert small.status()["store"]["bytes"] == 10 * MIB
    assert "local store: 10.0 MiB of 40.0 MiB" in small.run("status", small.mnt).stdout


def test_creating_and_opening_to_write_fail_before_the_store_is_full(small: Onitu) -> None:
    fill(small, "a", 30 * MIB)
    fill(small, "b", 8 * MIB)
    for call in (
        lambda: os.open(small.mnt / "new", os.O_WRONLY | os.O_CREAT),
        lambda: os.open(small.mnt / "a", os.O_RDWR),
        lambda: os.truncate(small.mnt / "a", 60 * MIB),
    ):
        with pytest.raises(OSError, match="No space left"):
            call()
    assert (small.mnt / "a").stat().st_size == 30 * MIB
    os.rename(small.mnt / "a", small.mnt / "moved")
    (small.mnt / "directory").mkdir()
    os.unlink(small.mnt / "b")
    until("history has made room", lambda: small.status()["store"]["history"]["versions"] == 0)
    fill(small, "new", 5 * MIB)
    assert (small.mnt / "new").stat().st_size == 5 * MIB


def test_write_itself_fails_when_room_is_tight(small: Onitu) -> None:
    fill(small, "a", 35 * MIB)
    data = os.urandom(256 << 10)
    written = 0
    with open(small.mnt / "b", "wb", buffering=0) as file:
        while (length := _written(file.fileno(), data)) is not None:
            written += length
    assert 2 * MIB <= written <= 3 * MIB
    assert (small.mnt / "b").read_bytes() == data * (written // len(data))
    assert not small.status()["failures"]


def test_a_program_that_writes_through_the_kernels_cache_hears_of_it(small: Onitu) -> None:
    """It began when there was room for it to begin, and writes more than there is: the shell's tools report it."""
    done = subprocess.run(
        ["dd", "if=/dev/zero", f"of={small.mnt / 'big'}", "bs=1M", "count=120"], capture_output=True, check=False
    )
    assert done.returncode != 0
    assert b"No space left" in done.stderr
    small.kill()
    small.mount()
    assert (small.mnt / "big").stat().st_blocks * 512 <= 44 * MIB


def test_what_was_saved_is_there_whatever_failed_and_however_it_ended(small: Onitu) -> None:
    saved: dict[str, bytes] = {}
    for n in range(60):
        data = os.urandom(MIB)
        fd = _opened(small.mnt / f"{n}")
        if fd is not None:
            if _written(fd, data) == MIB:
                saved[f"{n}"] = data
            os.close(fd)
    assert 35 <= len(saved) <= 40
    small.kill()
    small.mount()
    for name, data in saved.items():
        assert (small.mnt / name).read_bytes() == data


def test_the_quota_follows_the_setup(small: Onitu) -> None:
    small.extra = {"quota": "10 MiB"}
    small.write_setup()
    os.kill(small.pid or 0, 1)
    until("it is smaller", lambda: small.status()["store"]["quota"] == 10 * MIB)
    fill(small, "a", 10 * MIB - 600_000)  # from the reserve
    with pytest.raises(OSError, match="No space left"):
        fill(small, "b", MIB)
    small.extra = {}
    small.write_setup()
    os.kill(small.pid or 0, 1)
    until("there is none", lambda: small.status()["store"]["quota"] is None)
    fill(small, "large", 50 * MIB)


def test_history_never_keeps_a_program_from_saving(small: Onitu) -> None:
    for _ in range(30):
        until("history has made room", lambda: os.statvfs(small.mnt).f_bavail * 4096 > 3 * MIB)
        (small.mnt / "document").write_bytes(os.urandom(2 * MIB))
    assert len(small.ok("history", small.mnt / "document").splitlines()) > 5
