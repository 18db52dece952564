"""Programs that read everything get the beginning of what is not here, by whatever name they are known."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onitufs.content.partial import BLOCK_BYTES
from onitufs.fuse.scanners import Scanners, Window
from onitufs.setup import SCANNERS

from .mounted import Mounted, Watchdog

HEAD = 3 * BLOCK_BYTES
TEXT = "0123456789abcdef"
LARGE = 500_000
DATA = TEXT.encode() * LARGE
SMALL = 1000


def program(place: Path, name: str, real: str = "cat") -> Path:
    """A program under another name."""
    copy = place / name
    shutil.copy(shutil.which(real) or "", copy)
    return copy


def is_scanner(scanners: Scanners, *command: str | Path) -> bool:
    """Whether this command, which waits for the end of its input, counts as one."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(b"x\n")
        process.stdin.flush()
        assert process.stdout.readline()  # from then on it is what it is to be
        return scanners.is_one(process.pid)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "tracker-extract", "tracker-extract-3", "tracker-miner-fs-3", "localsearch-extractor-3",
            "baloo_file_extractor", "tumblerd", "gdk-pixbuf-thumbnailer", "totem-video-thumbnailer",
        ],
    )  # fmt: skip
    def test_programs(self, tmp_path: Path, name: str) -> None:
        assert is_scanner(Scanners(SCANNERS), program(tmp_path, name))

    @pytest.mark.parametrize("name", ["cat", "tumbler", "grep", "borg", "thumbnailer.py", "nautilus"])
    def test_others(self, tmp_path: Path, name: str) -> None:
        assert not is_scanner(Scanners(SCANNERS), program(tmp_path, name))

    def test_scripts(self, tmp_path: Path) -> None:
        script = tmp_path / "my-thumbnailer"
        script.write_text(f"#!{sys.executable}\nprint(input(), flush=True)\ninput()\n")
        script.chmod(0o755)
        assert is_scanner(Scanners(SCANNERS), script)
        assert is_scanner(Scanners(SCANNERS), sys.executable, script)
        assert not is_scanner(Scanners(["other"]), script)

    def test_an_argument_is_no_name(self, tmp_path: Path) -> None:
        (tmp_path / "tumblerd").write_bytes(b"")
        assert not is_scanner(Scanners(SCANNERS), "cat", "-", tmp_path / "tumblerd")

    def test_names_that_the_kernel_has_cut(self, tmp_path: Path) -> None:
        script = tmp_path / "indexer-of-everything"
        script.write_text("#!/bin/sh\nread line; echo $line; read line\n")
        script.chmod(0o755)
        assert is_scanner(Scanners(["indexer-of-everything"]), script)

    def test_threads_belong_to_their_process(self, tmp_path: Path) -> None:
        script = tmp_path / "tumblerd"
        script.write_text(
            f"#!{sys.executable}\n"
            "import ctypes, sys, threading\n"
            "def other():\n"
            "    ctypes.CDLL(None).prctl(15, b'pool-3', 0, 0, 0)\n"
            "    print(threading.get_native_id(), flush=True)\n"
            "    sys.stdin.read()\n"
            "threading.Thread(target=other).start()\n"
        )
        script.chmod(0o755)
        process = subprocess.Popen([script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert Scanners(SCANNERS).is_one(int(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(30)

    def test_a_process_that_has_ended(self) -> None:
        process = subprocess.Popen(["true"])
        process.wait()
        assert not Scanners(["*"]).is_one(process.pid)
        assert not Scanners(["*"]).is_one(0)

    def test_no_names(self) -> None:
        assert not Scanners().is_one(os.getpid())


def test_a_window_wants_each_block_once() -> None:
    data = os.urandom(5 * BLOCK_BYTES)
    window = Window(len(data), 3 * BLOCK_BYTES + 10)
    for offset, length in ((5, 20), (BLOCK_BYTES - 5, 10), (0, 1 << 20), (3 * BLOCK_BYTES, 9), (7, 3 * BLOCK_BYTES)):
        begin, fetched = window.wanted(offset, length)
        window.put(begin, data[begin : begin + fetched])
        assert window.wanted(offset, length)[1] == 0
        assert window.read(offset, length) == data[offset : min(offset + length, window.end)]


@pytest.fixture
def mounted(mount: Callable[..., Mounted]) -> Iterator[Mounted]:
    mounted = mount(scanners=["tumblerd"], head=HEAD).start()
    mounted.call("plant", path="small", text=TEXT, times=SMALL)
    mounted.call("plant", path="large", text=TEXT, times=LARGE)
    with Watchdog(mounted, 60):
        yield mounted


def scan(mounted: Mounted, code: str) -> str:
    """What a scanner prints that runs this Python code."""
    script = mounted.disk / "tumblerd"
    script.write_text(f"#!{sys.executable}\nimport mmap, os, sys\nos.chdir({str(mounted.root)!r})\n{code}\n")
    script.chmod(0o755)
    return subprocess.run([script], capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_small_files_are_read_and_not_kept(mounted: Mounted) -> None:
    for _ in range(2):
        assert scan(mounted, "print(open('small').read())") == TEXT * SMALL
    assert mounted.call("absent", path="small")
    assert mounted.call("readings") == 2
    assert (mounted.root / "small").read_text() == TEXT * SMALL
    assert not mounted.call("absent", path="small")
    assert scan(mounted, "print(len(open('small').read()))") == str(len(TEXT) * SMALL)
    assert mounted.call("readings") == 3  # the last one read what is here


def test_of_large_ones_the_beginning_is_given_and_then_an_error_but_never_an_end(mounted: Mounted) -> None:
    code = (
        "fd, got = os.open('large', os.O_RDONLY), 0\n"
        "try:\n"
        "    while piece := os.read(fd, 100_000): got += len(piece)\n"
        "except OSError as error: print(got, error.errno)\n"
        f"print(os.pread(fd, 10, {len(DATA)}), os.pread(fd, 16, 160).decode(), os.fstat(fd).st_size)\n"
    )
    said = scan(mounted, code)
    assert said == f"{HEAD} {errno.EPERM}\nb'' {TEXT} {len(DATA)}"
    assert mounted.call("absent", path="large")
    assert mounted.call("given") <= HEAD + BLOCK_BYTES


def test_little_is_fetched_for_who_looks_at_little(mounted: Mounted) -> None:
    assert scan(mounted, "print(os.read(os.open('large', os.O_RDONLY), 16).decode())") == TEXT
    assert mounted.call("given") == BLOCK_BYTES


def test_what_is_mapped_ends_there_too(mounted: Mounted) -> None:
    code = (
        "file = open('large', 'rb')\n"
        "view = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)\n"
        "print(view[:16].decode())"
    )
    assert scan(mounted, code) == TEXT
    assert mounted.call("absent", path="large")


def test_other_programs_get_all_of_it_meanwhile(mounted: Mounted) -> None:
    with open(mounted.root / "large", "rb") as file:
        assert file.read(16) == TEXT.encode()
        assert scan(mounted, "print(len(open('large', 'rb').read(16)))") == "16"
        file.seek(0)
        assert file.read() == DATA


def test_who_writes_is_no_scanner(mounted: Mounted) -> None:
    scan(mounted, "with open('large', 'r+b') as file: file.seek(5_000_000); file.write(b'tagged')")
    assert (mounted.root / "large").read_bytes() == DATA[:5_000_000] + b"tagged" + DATA[5_000_006:]
