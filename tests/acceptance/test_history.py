"""What was lost in the mount is brought back, through real calls and the command line."""

import json
import os
import shutil
from pathlib import Path

import pytest

from .conftest import Maker
from .harness import Onitu, until


def history(onitu: Onitu, path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in onitu.ok("history", path, "--json").splitlines()]


def test_a_file_that_was_deleted_comes_back_here_and_on_the_entries(onitu: Onitu) -> None:
    letter = onitu.mnt / "letter.txt"
    letter.write_text("dear all\n")
    letter.chmod(0o640)
    os.utime(letter, ns=(10**18, 10**18))
    onitu.wait()
    letter.unlink()
    assert not letter.exists()
    assert [v["why"] for v in history(onitu, letter)] == ["deleted"]
    assert "/letter.txt: 9 B" in onitu.ok("restore", letter)
    assert letter.read_text() == "dear all\n"
    assert (letter.stat().st_mode & 0o7777, letter.stat().st_mtime_ns) == (0o640, 10**18)
    assert os.listdir(onitu.mnt) == ["letter.txt"]
    onitu.wait()
    for root in onitu.roots.values():
        assert (root / "letter.txt").read_text() == "dear all\n"
    assert history(onitu, letter) == []


def test_every_way_of_losing_a_version_and_none_is_overwritten_by_restoring(onitu: Onitu) -> None:
    letter = onitu.mnt / "letter.txt"
    letter.write_text("one")
    letter.write_text("two")  # O_TRUNC
    (onitu.mnt / "new").write_text("three")
    os.replace(onitu.mnt / "new", letter)
    os.truncate(letter, 0)
    letter.write_text("five")
    found = history(onitu, letter)
    assert [(v["why"], v["size"]) for v in found] == [("truncated", 3), ("replaced", 3), ("truncated", 5)]
    with open(letter) as reader:
        onitu.ok("restore", letter, "--rev", str(found[0]["rev"]))
        assert reader.read() == "five"
    assert letter.read_text() == "one"
    onitu.ok("restore", letter, "--rev", str(found[2]["rev"]), "--to", onitu.mnt / "deep/er/copy.txt")
    assert (onitu.mnt / "deep/er/copy.txt").read_text() == "three"
    assert [(v["why"], v["size"]) for v in history(onitu, letter)] == [("replaced", 3), ("replaced", 4)]
    onitu.ok("restore", letter)
    assert letter.read_text() == "five"
    onitu.wait()
    for root in onitu.roots.values():
        assert (root / "letter.txt").read_text() == "five"
        assert (root / "deep/er/copy.txt").read_text() == "three"


def test_a_whole_directory_comes_back_after_a_kill(onitu: Onitu) -> None:
    album = onitu.mnt / "album"
    for n in range(30):
        (album / f"day {n % 3}").mkdir(parents=True, exist_ok=True)
        (album / f"day {n % 3}" / f"{n}.jpg").write_bytes(bytes([n]) * 5000)
    onitu.wait()
    shutil.rmtree(album)
    onitu.kill()
    onitu.mount()
    assert len(history(onitu, album)) == 30
    assert onitu.status()["store"]["history"] == {"versions": 30, "bytes": 150_000}
    (album / "day 1").mkdir(parents=True)
    (album / "day 1" / "1.jpg").write_bytes(b"another one")
    assert len(onitu.ok("restore", album).splitlines()) == 29
    for n in range(30):
        wanted = b"another one" if n == 1 else bytes([n]) * 5000
        assert (album / f"day {n % 3}" / f"{n}.jpg").read_bytes() == wanted
    onitu.wait()
    for root in onitu.roots.values():
        assert (root / "album/day 2/29.jpg").read_bytes() == bytes([29]) * 5000


def test_what_cannot_be_brought_back_is_said_in_one_line(onitu: Onitu) -> None:
    (onitu.mnt / "there").write_text("x")
    (onitu.mnt / "gone").write_text("data")
    (onitu.mnt / "gone").unlink()
    for command, words in (
        (("history", onitu.mnt / "never"), "no such file in the mount: /never"),
        (("restore", onitu.mnt / "never"), "/never: nothing of this name is kept: see `onitufs history`"),
        (("restore", onitu.mnt / "gone", "--rev", "77"), "/gone: no version 77 of this name is kept"),
        (("restore", onitu.mnt / "gone", "--to", onitu.mnt / "there"), "/there: not restored: there is something"),
        (("restore", onitu.mnt / "gone", "--to", onitu.mnt / "there/x"), "/there/x: not restored: there is no dir"),
    ):
        done = onitu.run(*command)
        assert done.returncode == 3
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert (onitu.mnt / "there").read_text() == "x"
    assert onitu.ok("history", onitu.mnt / "there") == "nothing is kept\n"


@pytest.mark.long(11)
def test_history_ends_as_the_setup_says_and_its_bytes_are_freed(new_onitu: Maker) -> None:
    onitu = new_onitu()
    onitu.extra = {"history": {"keep": "30 days", "size": "100 kB"}}
    onitu.write_setup()
    onitu.mount()

    def sizes() -> list[int]:
        return [path.stat().st_size for path in (onitu.state / "content").rglob("*") if path.is_file()]

    for n in range(5):
        (onitu.mnt / f"{n}").write_bytes(bytes(40_000))
        (onitu.mnt / f"{n}").unlink()
    until("the oldest have gone", lambda: sizes() == [40_000] * 2)
    assert [v["path"] for v in history(onitu, onitu.mnt)] == ["/3", "/4"]
    onitu.extra = {"history": {"keep": 0}}
    onitu.write_setup()
    os.kill(onitu.pid or 0, 1)
    until("all have gone", lambda: sizes() == [])
    (onitu.mnt / "x").write_bytes(bytes(40_000))
    (onitu.mnt / "x").unlink()
    assert onitu.status()["store"]["history"] == {"versions": 0, "bytes": 0}
