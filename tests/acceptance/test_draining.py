"""`onitufs entry drain` empties an entry, never at the price of a file."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from .absence import forget_bytes
from .conftest import Maker
from .harness import ONITUFS, Onitu
from .test_plan import names


def drained(onitu: Onitu) -> bool:
    return bool({one["name"]: one["draining"] for one in onitu.status()["entries"]}["b"])


@contextmanager
def following(onitu: Onitu) -> Iterator[IO[str]]:
    """What `entry drain b` prints, until the end of the block."""
    with subprocess.Popen(
        [ONITUFS, "entry", "drain", "b", "--json", "-m", str(onitu.mnt)],
        stdout=subprocess.PIPE, text=True, env=onitu.environment,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield process.stdout
        finally:
            process.terminate()


def test_what_the_rules_have_elsewhere_leaves_and_the_entry_can_go(onitu: Onitu) -> None:
    (onitu.mnt / "folder").mkdir()
    (onitu.mnt / "folder/file").write_text("x")
    (onitu.mnt / "other").write_text("y")
    onitu.wait()
    said = onitu.ok("entry", "drain", "b", "-m", onitu.mnt)
    assert said.splitlines()[-1] == "entry b is empty; it can be removed from the setup"
    assert names(onitu.roots["b"]) == []
    assert not (onitu.roots["b"] / "folder").exists()
    assert names(onitu.roots["a"]) == ["folder/file", "other"]
    trash = onitu.roots["b"] / ".onitufs/trash"
    assert sorted(path.name for path in trash.rglob("*") if path.is_file()) == ["file", "other"]
    (onitu.mnt / "new").write_text("z")
    onitu.wait()
    assert names(onitu.roots["b"]) == []
    assert "entry drain b" in onitu.ok("explain", onitu.mnt / "new")
    onitu.umount()
    onitu.mount()
    onitu.wait()
    assert drained(onitu)
    assert ", being emptied" in onitu.ok("status", onitu.mnt)
    assert names(onitu.roots["b"]) == []
    onitu.ok("entry", "drain", "b", "--stop", "-m", onitu.mnt)
    onitu.wait()
    assert names(onitu.roots["b"]) == names(onitu.roots["a"]) == ["folder/file", "new", "other"]


def test_files_that_would_have_no_other_entry_are_a_reason_to_refuse(new_onitu: Maker) -> None:
    onitu = new_onitu(rules=[{"match": {"path": "/"}, "sync": ["b"]}, {"match": {"path": "/both/"}, "sync": ["a"]}])
    onitu.mount()
    (onitu.mnt / "both").mkdir()
    for name in ("both/file", "alone"):
        (onitu.mnt / name).write_text(name)
    onitu.wait()
    done = onitu.run("entry", "drain", "b", "-m", onitu.mnt)
    assert done.returncode == 7
    assert "a file on b (such as /alone)" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not drained(onitu)
    onitu.wait()
    assert names(onitu.roots["b"]) == ["alone", "both/file"]
    onitu.ok("entry", "drain", "b", "--local", "-m", onitu.mnt)
    assert names(onitu.roots["b"]) == []
    assert (onitu.mnt / "alone").read_text() == "alone"
    assert onitu.status()["files"]["only_here"] == 1


def test_nothing_leaves_before_the_others_have_it(new_onitu: Maker) -> None:
    rules = [{"match": {"path": "/"}, "sync": ["b", "a"], "copies": 1}]
    onitu = new_onitu(rules=rules)
    onitu.mount()
    (onitu.mnt / "file").write_text("x")
    onitu.wait()
    assert (names(onitu.roots["a"]), names(onitu.roots["b"])) == ([], ["file"])
    onitu.ok("entry", "pause", "a", "-m", onitu.mnt)
    with following(onitu) as lines:
        assert json.loads(lines.readline())["left"] == 1
        (onitu.mnt / "new").write_text("y")
        assert json.loads(lines.readline())["left"] == 1
    assert names(onitu.roots["b"]) == ["file"]
    assert drained(onitu)  # also after whoever asked has gone
    onitu.kill()
    onitu.mount()
    assert names(onitu.roots["b"]) == ["file"]
    onitu.ok("entry", "resume", "a", "-m", onitu.mnt)
    onitu.ok("entry", "drain", "b", "-m", onitu.mnt)
    onitu.wait()
    assert (names(onitu.roots["a"]), names(onitu.roots["b"])) == (["file", "new"], [])


def test_what_only_the_entry_has_is_brought_here_before_it_leaves(new_onitu: Maker) -> None:
    onitu = new_onitu(rules=[{"match": {"path": "/"}, "sync": ["b"]}, {"match": {"path": "/both"}, "sync": ["a"]}])
    onitu.mount()
    for name in ("alone", "both"):
        (onitu.mnt / name).write_text(f"all of {name}")
    onitu.wait()
    onitu.umount()
    forget_bytes(onitu.state, ["alone", "both"])
    onitu.mount()
    onitu.ok("entry", "drain", "b", "--local", "-m", onitu.mnt)
    assert (names(onitu.roots["a"]), names(onitu.roots["b"])) == (["both"], [])
    for name in ("alone", "both"):
        assert (onitu.mnt / name).read_text() == f"all of {name}"
