"""An entry goes away, comes back, or is another place than it was: the mount goes on, nothing is lost."""

import os

from .harness import Onitu, until
from .trees import OWN, files

NEEDS_PERSON = 7


def health(onitu: Onitu, entry: str) -> str:
    found: str = {one["name"]: one["health"] for one in onitu.status()["entries"]}[entry]
    return found


def test_a_root_that_is_away_delays_nobody_and_catches_up(onitu: Onitu) -> None:
    """b's disk is unplugged while files are saved: a has them; plugged in again, b gets them without anybody's help."""
    (onitu.mnt / "before.txt").write_text("before")
    onitu.wait()
    away = onitu.roots["b"].with_name("unplugged")
    os.rename(onitu.roots["b"], away)
    (onitu.mnt / "during.txt").write_text("during")
    (onitu.mnt / "before.txt").write_text("before, changed")
    until("b is known to be away", lambda: health(onitu, "b") == "suspended")
    until("a has the file", (onitu.roots["a"] / "during.txt").exists)
    status = onitu.run("status", onitu.mnt)
    assert status.returncode == NEEDS_PERSON
    assert f"b: {onitu.roots['b']} is not there: is its disk mounted?" in status.stdout
    assert not onitu.roots["b"].exists()
    assert (onitu.mnt / "during.txt").read_text() == "during"
    os.rename(away, onitu.roots["b"])
    onitu.ok("entry", "resume", "b", "--mount", onitu.mnt)
    onitu.wait()
    assert files(onitu.roots["b"]) == files(onitu.mnt) == files(onitu.roots["a"])


def test_a_root_that_comes_back_is_noticed_without_being_told(onitu: Onitu) -> None:
    (onitu.mnt / "f").write_text("1")
    onitu.wait()
    away = onitu.roots["b"].with_name("unplugged")
    os.rename(onitu.roots["b"], away)
    (onitu.mnt / "f").write_text("2")
    until("b is known to be away", lambda: health(onitu, "b") == "suspended")
    os.rename(away, onitu.roots["b"])
    onitu.wait()
    assert (onitu.roots["b"] / "f").read_text() == "2"


def test_an_empty_disk_in_the_place_of_the_known_one_asks_a_person(onitu: Onitu) -> None:
    """The mount point of an unplugged disk is an empty directory: not a reason to believe that all copies are gone."""
    (onitu.mnt / "f").write_text("1")
    onitu.wait()
    away = onitu.roots["b"].with_name("unplugged")
    os.rename(onitu.roots["b"], away)
    onitu.roots["b"].mkdir()
    (onitu.mnt / "f").write_text("2")
    until("b is known to be another", lambda: health(onitu, "b") == "suspended")
    status = onitu.run("status", onitu.mnt)
    assert status.returncode == NEEDS_PERSON
    assert files(onitu.roots["b"]) == {}
    onitu.roots["b"].rmdir()
    os.rename(away, onitu.roots["b"])
    onitu.ok("entry", "resume", "b", "--mount", onitu.mnt)
    onitu.wait()
    assert (onitu.roots["b"] / "f").read_text() == "2"


def test_what_is_found_in_the_way_is_kept(onitu: Onitu) -> None:
    """A file that somebody else put where ours belongs is not overwritten: both are on the entry afterwards."""
    (onitu.roots["b"] / "report.txt").write_text("somebody else's")
    (onitu.mnt / "report.txt").write_text("ours")
    onitu.wait()
    assert (onitu.roots["b"] / "report.txt").read_text() == "ours"
    assert (onitu.roots["a"] / "report.txt").read_text() == "ours"
    others = [path for path in onitu.roots["b"].iterdir() if path.name not in ("report.txt", OWN.decode())]
    assert [path.read_text() for path in others] == ["somebody else's"]


def test_what_is_replaced_or_deleted_can_be_brought_back(onitu: Onitu) -> None:
    (onitu.mnt / "f").write_text("first")
    onitu.wait()
    (onitu.mnt / "f").write_text("second")
    onitu.wait()
    (onitu.mnt / "f").unlink()
    onitu.wait()
    for root in onitu.roots.values():
        assert files(root) == {}
        trash = root / OWN.decode() / "trash"
        kept = [path.read_text() for path in trash.rglob("*") if path.is_file()]
        assert "first" in kept
        assert "second" in kept


def test_nothing_is_followed_out_of_the_root(onitu: Onitu) -> None:
    """A directory on the entry is swapped for a link to elsewhere: nothing is written through it."""
    outside = onitu.base / "outside"
    outside.mkdir()
    (onitu.mnt / "d").mkdir()
    (onitu.mnt / "d/one").write_text("1")
    onitu.wait()
    os.rename(onitu.roots["b"] / "d", onitu.roots["b"] / "e")
    os.symlink(outside, onitu.roots["b"] / "d")
    (onitu.mnt / "d/two").write_text("2")
    (onitu.mnt / "d/one").write_text("11")
    until("a has the file", (onitu.roots["a"] / "d/two").exists)
    onitu.run("wait", onitu.mnt, "--timeout", "5")
    assert os.listdir(outside) == []
