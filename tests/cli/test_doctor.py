"""`doctor` finds what is wrong, says what helps, and ends with a status that means it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ..acceptance.conftest import (
    Maker,
    new_onitu,  # noqa: F401  a fixture
)
from .conftest import Desk, Run

NEEDS_PERSON = 7


def examined(run: Run, *arguments: str | Path, **options: Any) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit status, and the findings by what was looked at."""
    done = run("doctor", "--json", *arguments, **options)
    answer = json.loads(done.stdout)
    assert answer["well"] == (done.returncode == 0)
    return done.returncode, {finding["what"]: finding for finding in answer["findings"]}


def test_each_thing_is_told_with_its_state(onitufs: Run, tmp_path: Path) -> None:
    _, found = examined(onitufs, "--state", tmp_path / "new" / "state")
    assert {"fuse", "fusermount3", "/etc/fuse.conf", "fstab", "kernel", "libraries", "open files", "state"} <= set(
        found
    )
    assert all(finding["state"] in ("fine", "note", "wrong") for finding in found.values())
    assert all(finding["remedy"] for finding in found.values() if finding["state"] == "wrong")
    assert str(tmp_path) in found["state"]["found"]
    assert "GB free" in found["state"]["found"]
    plain = onitufs("doctor").stdout
    assert " ok   fuse: /dev/fuse can be opened" in plain


def test_a_missing_program_is_wrong_and_the_remedy_is_told(onitufs: Run, tmp_path: Path) -> None:
    status, found = examined(onitufs, env={**os.environ, "PATH": str(tmp_path)})
    assert status == NEEDS_PERSON
    assert found["fusermount3"] == {
        "what": "fusermount3", "state": "wrong", "found": "is missing", "remedy": "install the package fuse3"
    }  # fmt: skip


@pytest.mark.parametrize(("health", "state"), [("up", "fine"), ("paused", "note"), ("auth-needed", "wrong")])
def test_the_entries_of_what_is_mounted(desk: Desk, onitufs: Run, health: str, state: str) -> None:
    desk.says(entries=[{"name": "nas", "health": health, "message": "so it is", "remedy": "do this"}])
    found = next(finding for what, finding in examined(onitufs)[1].items() if what.startswith("entry nas of "))
    assert found["state"] == state
    assert found["remedy"] == ("" if health == "up" else "do this")


def test_a_daemon_without_a_mount_is_listed(desk: Desk, onitufs: Run) -> None:
    found = examined(onitufs)[1][f"daemon {desk.process.pid}"]
    assert found["state"] == "note"
    assert f"{desk.mnt} was unmounted" in found["found"]


def test_a_dead_mount_is_listed(new_onitu: Maker, onitufs: Run) -> None:  # noqa: F811
    onitu = new_onitu()
    onitu.mount()
    assert examined(onitufs)[1][f"mount {onitu.mnt}"]["state"] == "fine"
    onitu.kill()
    status, found = examined(onitufs)
    assert status == NEEDS_PERSON
    dead = found[f"mount {onitu.mnt}"]
    assert (dead["state"], dead["found"]) == ("wrong", "is dead: its daemon is gone")
    assert dead["remedy"] == f"onitufs mount {onitu.setup} {onitu.mnt}"


def test_the_entries_of_a_setup_are_tried(new_onitu: Maker, onitufs: Run) -> None:  # noqa: F811
    onitu = new_onitu()
    assert examined(onitufs, onitu.setup)[1]["entry a"]["state"] == "fine"
    shutil.rmtree(onitu.roots["a"])
    onitu.roots["a"].write_text("a file where a directory should be")
    status, found = examined(onitufs, onitu.setup)
    assert status == NEEDS_PERSON
    assert found["entry a"]["state"] == "wrong"
    assert found["entry b"]["state"] == "fine"
    onitu.setup.write_text("{")
    assert examined(onitufs, onitu.setup)[1]["setup"]["state"] == "wrong"


def test_a_poor_place_for_the_state_is_noted(onitufs: Run) -> None:
    found = examined(onitufs, "--state", "/dev/shm/onitufs-test")[1]["state"]
    assert found["state"] == "note"
    assert "tmpfs" in found["found"]
    assert "choose a local disk" in found["remedy"]
