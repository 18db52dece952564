"""Readers that wait for an entry that never answers delay nobody else."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .expecting import fails
from .mounted import Mounted, Watchdog

READERS = 200
_READ = (
    "import os,sys,threading\n"
    "def read():\n"
    "    fd = os.open(sys.argv[1], os.O_RDONLY)\n"
    "    results.append(os.read(fd, 5))\n"
    "    os.close(fd)\n"
    "results = []\n"
    "threads = [threading.Thread(target=read) for _ in range(int(sys.argv[2]))]\n"
    "[t.start() for t in threads]\n"
    "[t.join() for t in threads]\n"
    "print(len(results), set(results))\n"
)


@pytest.fixture(params=["large", "small"])
def stuck(mount: Callable[..., Mounted], request: pytest.FixtureRequest) -> Iterator[tuple[Mounted, object]]:
    """A mount in which 200 programs wait for one file: in read() if it is large, in open() if it is small."""
    mounted = mount().start()
    times = {"large": 600_000, "small": 1}[request.param]
    (mounted.root / "elsewhere").mkdir()
    (mounted.root / "elsewhere" / "here").write_bytes(b"here")
    mounted.call("plant", path="dead", text="bytes", times=times)
    mounted.call("stall")
    with Watchdog(mounted, 60):
        readers = subprocess.Popen(
            [sys.executable, "-c", _READ, str(mounted.root / "dead"), str(READERS)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert mounted.call("waiting_for", readers=READERS) == READERS
            yield mounted, readers
        finally:
            mounted.call("answer")
            assert readers.communicate(timeout=30)[0] == f"{READERS} {{b'bytes'}}\n"
            assert mounted.call("readings") == 1


def _all_wait(mounted: Mounted) -> bool:
    return bool(mounted.call("waiting") == READERS)


def test_metadata_and_saves_elsewhere_go_on(stuck: tuple[Mounted, object]) -> None:
    mounted, _ = stuck
    place = mounted.root / "elsewhere"
    for number in range(50):
        path = place / f"file{number}"
        path.write_bytes(b"x" * 50_000)
        assert path.stat().st_size == 50_000
        assert path.read_bytes() == b"x" * 50_000
        os.rename(path, place / f"moved{number}")
    with open(place / "synced", "wb") as file:
        file.write(b"y" * 3_000_000)
        os.fsync(file.fileno())
    assert len(os.listdir(place)) == 52
    assert (mounted.root / "dead").stat().st_size > 4
    assert not os.path.exists(place / "absent")
    assert _all_wait(mounted)


def test_reads_from_a_cold_cache_go_on(stuck: tuple[Mounted, object]) -> None:
    """Readahead is what uses up the kernel's few background requests."""
    mounted, _ = stuck
    path = mounted.root / "elsewhere" / "large"
    path.write_bytes(os.urandom(1 << 20) * 8)
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert sum(len(piece) for piece in iter(lambda: file.read(1 << 17), b"")) == 8 << 20
    assert _all_wait(mounted)


def test_the_waiting_file_itself_can_be_renamed_and_removed(stuck: tuple[Mounted, object]) -> None:
    mounted, _ = stuck
    os.chmod(mounted.root / "dead", 0o600)
    os.rename(mounted.root / "dead", mounted.root / "elsewhere" / "dead2")
    os.unlink(mounted.root / "elsewhere" / "dead2")
    assert _all_wait(mounted)


def test_readers_of_mapped_pages_elsewhere_go_on(stuck: tuple[Mounted, object]) -> None:
    mounted, _ = stuck
    assert Path(mounted.root / "elsewhere" / "here").read_bytes() == b"here"
    done = subprocess.run(["cmp", mounted.root / "elsewhere" / "here", "-"], input=b"here", check=False, timeout=30)
    assert done.returncode == 0
    assert _all_wait(mounted)


def test_programs_wait_once_and_get_a_plain_error(mount: Callable[..., Mounted]) -> None:
    mounted = mount(stall_s=0.5).start()
    for name, times in (("large", 600_000), ("small", 1)):
        mounted.call("plant", path=name, text="bytes", times=times)
    mounted.call("stall")
    with Watchdog(mounted, 60):
        fails(errno.ETIMEDOUT, (mounted.root / "small").read_bytes)
        with open(mounted.root / "large", "rb", buffering=0) as file:
            fails(errno.ETIMEDOUT, file.read)
            asked = mounted.call("readings")
            fails(errno.ETIMEDOUT, file.read)
            fails(errno.ETIMEDOUT, (mounted.root / "small").read_bytes)
        assert mounted.call("readings") == asked
        with open(mounted.root / "large", "r+b", buffering=0) as file:
            fails(errno.ETIMEDOUT, lambda: file.write(b"x"))
        mounted.call("answer")
        (mounted.root / "large").write_bytes(b"anew")
        assert (mounted.root / "large").read_bytes() == b"anew"


@pytest.mark.parametrize("how", ["stall", "break_line"])
def test_another_entry_goes_on_where_one_dies_in_the_middle(mount: Callable[..., Mounted], how: str) -> None:
    """The program notices nothing."""
    mounted = mount(stall_s=1.0).start()
    mounted.call("plant", path="file", text="0123456789abcdef", times=1_000_000, spare=True)
    with Watchdog(mounted, 60), open(mounted.root / "file", "rb", buffering=0) as file:
        got = b""
        while piece := file.read(1 << 17):
            got += piece
            if len(got) == 2 << 20:
                assert not mounted.call("readings", entry="spare")
                mounted.call(how)
        assert got == b"0123456789abcdef" * 1_000_000
        assert mounted.call("readings", entry="spare")
