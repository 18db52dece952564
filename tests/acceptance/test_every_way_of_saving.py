"""However a program saves a file, it ends as exactly one right file on each entry, and no temp name is left there."""

import hashlib
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest

from .harness import Onitu
from .savers import WAYS
from .trees import files

NAME = "report, final.txt"


def text(way: str, round_: str, lines: int) -> bytes:
    return b"".join(
        f"{way} {round_} {n} {hashlib.md5(f'{round_}{n}'.encode()).hexdigest()}\n".encode() for n in range(lines)
    )


@pytest.fixture(scope="module")
def outcomes(shared_onitu: Onitu, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """What was wrong with each way, after saving anew, saving over what is placed, and saving twice without a pause.

    All ways take their turns together, so that waiting for the entries is done once a round.
    """
    onitu, scratch = shared_onitu, tmp_path_factory.mktemp("scratch")
    problems: dict[str, list[str]] = {way: [] for way in WAYS}
    for way in WAYS:
        (onitu.mnt / way).mkdir()

    def save(way: str, round_: str, lines: int) -> bytes:
        content = text(way, round_, lines)
        try:
            WAYS[way](onitu.mnt / way / NAME, content, scratch / f"{way}.txt")
        except Exception:
            problems[way].append(f"{round_}: {traceback.format_exc()}")
        return content

    def judge(round_: str, wanted: Mapping[str, bytes]) -> None:
        onitu.wait()
        for way, content in wanted.items():
            right = {NAME.encode(): ("file", len(content), hashlib.sha256(content).hexdigest())}
            for place in (onitu.mnt, *onitu.roots.values()):
                found = files(place / way) if (place / way).is_dir() else {}
                if found != right:
                    problems[way].append(f"{round_}: {place / way} holds {found}, not {right}")

    judge("new", {way: save(way, "new", 300) for way in WAYS})
    judge("again", {way: save(way, "again", 411) for way in WAYS})
    for way in WAYS:
        save(way, "thrice", 250)
    judge("at once", {way: save(way, "at once", 99) for way in WAYS})
    return problems


@pytest.mark.parametrize("way", WAYS)
def test_ends_as_one_right_file_on_each_entry(outcomes: Mapping[str, list[str]], way: str) -> None:
    assert outcomes[way] == []


def test_a_file_that_is_never_closed_is_placed_while_it_grows(onitu: Onitu, tmp_path: Path) -> None:
    """A log that a program holds open and syncs now and then reaches the entries before it is closed."""
    with open(onitu.mnt / "service.log", "ab", buffering=0) as log:
        import os

        for line in range(3):
            log.write(b"line %d\n" % line)
            os.fsync(log.fileno())
        onitu.wait()
        for root in onitu.roots.values():
            assert (root / "service.log").read_bytes() == b"line 0\nline 1\nline 2\n"


def test_mode_and_time_come_along(onitu: Onitu, tmp_path: Path) -> None:
    """`cp -a` into the mount: the entries hold the same mode and the same time as the source, to the nanosecond."""
    import os

    from .harness import run

    source = tmp_path / "run.sh"
    source.write_text("#!/bin/sh\n")
    source.chmod(0o750)
    os.utime(source, ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321))
    run("cp", "-a", source, onitu.mnt)
    onitu.wait()
    for place in (onitu.mnt, *onitu.roots.values()):
        found = os.stat(place / "run.sh")
        assert (found.st_mode & 0o7777, found.st_mtime_ns) == (0o750, 1_400_000_000_987_654_321), place
