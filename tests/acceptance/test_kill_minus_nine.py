"""After kill -9 of the daemon, at any instant, nothing that was answered is lost, and placement completes."""

import errno
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Maker
from .harness import Onitu
from .trees import files, tree

KILLS = 110
WRITERS = 4
SEED = 20261124


class WriterProcess:
    """A restless_writer.py in the mount, and the pipe on which it counts its answered calls."""

    def __init__(self, directory: Path, seed: int, ticks: int) -> None:
        script = Path(__file__).with_name("restless_writer.py")
        self.process = subprocess.Popen(
            [sys.executable, "-I", script, directory, str(seed), str(ticks)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[ticks],
        )  # fmt: skip

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the writer has ended by itself"
        heard: dict[str, Any] = json.loads(line)
        return heard


@pytest.fixture
def ticks() -> Iterator[tuple[int, int]]:
    """A pipe: (read end, write end)."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def drained(fd: int) -> None:
    """Take what is in the pipe out of it."""
    os.set_blocking(fd, False)
    try:
        while os.read(fd, 65536):
            pass
    except BlockingIOError:
        os.set_blocking(fd, True)


@pytest.mark.long(45)
@pytest.mark.timeout(900)
def test_nothing_answered_is_lost(onitu: Onitu, ticks: tuple[int, int]) -> None:
    """Over a hundred kills while four programs rewrite in place, save by rename, append, truncate, move and delete.

    What a call that was cut short may leave is checked too: old or new, never a mixture that nobody wrote.
    """
    dice = random.Random(SEED)
    writers = [WriterProcess(onitu.mnt / f"writer {n}", SEED + n, ticks[1]) for n in range(WRITERS)]
    in_flight: Counter[str] = Counter()
    kills = kills_in_flight = answered = 0
    try:
        for writer in writers:
            writer.hear()  # none is killed before it has begun
        for kills in range(1, KILLS + 1):
            drained(ticks[0])
            for writer in writers:
                writer.tell("go")
            for _ in range(dice.randrange(1, 60)):
                os.read(ticks[0], 1)
            onitu.kill()
            stopped = [writer.hear() for writer in writers]
            cut_short = [report["kind"] for report in stopped if report["errno"] != errno.ENOTCONN]
            in_flight.update(cut_short)
            kills_in_flight += bool(cut_short)
            onitu.mount()
            for writer in writers:
                writer.tell("check")
            problems = {n: writer.hear()["problems"] for n, writer in enumerate(writers)}
            assert not any(problems.values()), f"after kill {kills}, with {stopped} in flight: {problems}"
            answered = sum(report["answered"] for report in stopped)
    finally:
        for writer in writers:
            writer.process.kill()
            writer.process.communicate()

    print(f"{kills} kills, {kills_in_flight} with calls in flight: {dict(in_flight)}; {answered} calls answered")
    assert kills_in_flight >= KILLS // 2
    assert in_flight["in_place"] >= 10
    assert in_flight["rename_over"] >= 10

    onitu.wait()
    wanted = files(onitu.mnt)
    assert wanted
    for root in onitu.roots.values():
        assert files(root) == wanted


@pytest.mark.long(8)
@pytest.mark.timeout(600)
def test_a_kill_while_files_are_on_their_way(onitu: Onitu) -> None:
    """The daemon dies with transfers half done: afterwards each entry holds the whole file and nothing besides."""
    for version in range(5):
        (onitu.mnt / "film.bin").write_bytes(os.urandom(48 << 20))
        for n in range(40):
            (onitu.mnt / f"note {n}.txt").write_text(f"version {version} of {n}\n")
        onitu.kill()
        onitu.mount()
    onitu.wait()
    wanted = files(onitu.mnt)
    assert len(wanted) == 41
    for root in onitu.roots.values():
        assert files(root) == wanted


def test_names_and_attributes_survive(new_onitu: Maker) -> None:
    """Directories, links, modes, times and extended names: all that was answered before the kill is there after it."""
    onitu = new_onitu()
    onitu.mount()
    mnt = onitu.mnt
    (mnt / "deep/er/est").mkdir(parents=True)
    (mnt / "deep/er/est/file").write_text("x")
    os.link(mnt / "deep/er/est/file", mnt / "hard")
    os.symlink("deep/er", mnt / "soft")
    os.rename(mnt / "deep/er", mnt / "moved")
    os.mkfifo(mnt / "fifo", 0o622)
    os.mkdir(os.fsencode(mnt) + b"/\xff\xfe not utf-8", 0o2750)
    os.chmod(mnt / "moved", 0o711)
    os.utime(mnt / "moved/est/file", ns=(1, -1_000_000_001))
    os.truncate(mnt / "hard", 5)
    os.utime(mnt / "hard", ns=(7, -987_654_321))

    def facts(path: bytes, found: os.stat_result) -> tuple[Any, ...]:
        return (
            found.st_mode,
            found.st_uid,
            found.st_gid,
            found.st_nlink,
            found.st_size,
            found.st_mtime_ns,
            found.st_ino,
        )

    before = tree(mnt, facts)
    assert len(before) == 8
    onitu.kill()
    onitu.mount()
    assert tree(mnt, facts) == before
