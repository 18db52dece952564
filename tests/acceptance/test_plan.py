"""`onitufs plan` says what another setup would do, `--apply` does it, and neither loses anything."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from onitufs.catalog import keys
from onitufs.catalog.records import unpack_copy
from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.volume.placements import Placements

from .conftest import Maker
from .harness import Onitu, until

ALL_TO_A = {"match": {"path": "/"}, "sync": ["a"]}
DOCS_TO_B = {"match": {"path": "/docs/"}, "sync": ["b"]}


def plan(onitu: Onitu, *options: str | Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in onitu.ok("plan", *options, "--json", "-m", onitu.mnt).splitlines()]
    assert lines[-1]["done"] is True
    return lines[-1]  # type: ignore[no-any-return]


def counts(answer: dict[str, Any]) -> dict[str, dict[str, int]]:
    """For each entry, how many files each kind of change concerns."""
    return {
        entry["name"]: {
            kind: tally["files"] for kind, tally in entry.items() if isinstance(tally, dict) and tally["files"]
        }
        for entry in answer["entries"]
    }


def new_setup(onitu: Onitu, name: str = "new.json", **changes: Any) -> Path:
    """Another setup file beside the mounted one."""
    setup = json.loads(onitu.setup.read_text()) | changes
    path = onitu.base / name
    path.write_text(json.dumps(setup))
    return path


def names(directory: Path) -> list[str]:
    """All files below, but for what the driver keeps for itself."""
    found = [path.relative_to(directory) for path in directory.rglob("*") if path.is_file()]
    return sorted(str(path) for path in found if path.parts[0] != ".onitufs")


def make_found(onitu: Onitu, entry: str) -> None:
    """Have the catalog of an unmounted OnituFS say that every Copy on an entry was found there."""
    from dataclasses import replace

    catalog = Catalog.open(onitu.state / "catalog", ContentStore(onitu.state / "content"))
    try:
        changes: dict[bytes, bytes | None] = {}
        copies = [unpack_copy(value) for _, value in catalog.scan(keys.COPY)]
        Placements(catalog).write(changes, put=[replace(copy, found=True) for copy in copies if copy.entry == entry])
        catalog.commit(changes)
    finally:
        catalog.close()


@pytest.fixture
def onitu(new_onitu: Maker) -> Onitu:
    """Three files on a, of which the two in docs are on b as well."""
    made = new_onitu(rules=[ALL_TO_A, DOCS_TO_B])
    made.mount()
    (made.mnt / "docs").mkdir()
    for name, size in (("docs/one", 10), ("docs/two", 100), ("three", 1000)):
        (made.mnt / name).write_bytes(b"x" * size)
    made.wait()
    return made


def test_the_mounted_setup_has_nothing_to_do(onitu: Onitu) -> None:
    assert counts(plan(onitu)) == {"a": {}, "b": {}}
    assert "nothing to do" in onitu.ok("plan", "-m", onitu.mnt)


def test_what_would_be_copied_and_trashed_and_then_is(onitu: Onitu) -> None:
    new = new_setup(onitu, rules=[{"match": {"path": "/"}, "sync": ["b"]}, {"match": {"glob": "*.none"}, "ban": ["a"]}])
    answer = plan(onitu, new)
    assert counts(answer) == {"a": {"trashed": 3}, "b": {"copied": 1}}
    by_name = {entry["name"]: entry for entry in answer["entries"]}
    assert by_name["a"]["trashed"]["bytes"] == 1110
    assert by_name["b"]["copied"] == {"files": 1, "bytes": 1000, "examples": [{"path": "/three"}]}
    assert [rule["covers"] for rule in answer["rules"]] == [4, 0]
    assert answer["files"] == 3
    said = onitu.ok("plan", new, "-m", onitu.mnt)
    assert "rules[1] covers nothing that is there" in said
    assert "3 files, 1.1 KiB to take away" in said
    onitu.wait()
    assert names(onitu.roots["a"]) == ["docs/one", "docs/two", "three"]  # asking changed nothing
    before = onitu.setup.read_text()
    answer = plan(onitu, "--apply", new)
    assert answer["applied"] is True
    onitu.wait()
    assert names(onitu.roots["a"]) == []
    assert names(onitu.roots["b"]) == ["docs/one", "docs/two", "three"]
    assert onitu.setup.read_text() == new.read_text()
    assert onitu.setup.with_name("setup.json.before").read_text() == before
    assert counts(plan(onitu)) == {"a": {}, "b": {}}


def test_a_wrong_setup_is_told_whole_and_changes_nothing(onitu: Onitu) -> None:
    new = new_setup(onitu, rules=[{"match": {"path": "/"}, "sync": ["c"]}])
    done = onitu.run("plan", "--apply", new, "-m", onitu.mnt)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no entry 'c'" in done.stderr
    setup = json.loads(onitu.setup.read_text())
    setup["entries"]["a"]["driver"] = "punch_cards"
    done = onitu.run("plan", new_setup(onitu, entries=setup["entries"]), "-m", onitu.mnt)
    assert done.returncode == 2
    assert "punch_cards" in done.stderr
    renamed_setup = onitu.base / "renamed.json"
    renamed_setup.write_text(onitu.setup.read_text().replace('"acceptance"', '"other"'))
    done = onitu.run("plan", "--apply", renamed_setup, "-m", onitu.mnt)
    assert done.returncode == 7
    assert "'other' is another name than that of the mounted setup" in done.stderr
    done = onitu.run("plan", onitu.base / "missing.json", "-m", onitu.mnt)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    assert names(onitu.roots["a"]) == ["docs/one", "docs/two", "three"]


def test_what_was_found_stays_until_a_plan_is_applied(onitu: Onitu) -> None:
    onitu.umount()
    make_found(onitu, "a")
    onitu.rules = [DOCS_TO_B]
    onitu.write_setup()
    onitu.mount()
    onitu.wait()
    assert names(onitu.roots["a"]) == ["docs/one", "docs/two", "three"]
    answer = plan(onitu)
    assert counts(answer) == {"a": {"found": 3}, "b": {}}
    assert answer["only_here"]["files"] == 1
    plan(onitu, "--apply")
    until("what was found there is taken away", lambda: names(onitu.roots["a"]) == [])
    onitu.wait()
    assert names(onitu.roots["b"]) == ["docs/one", "docs/two"]
    assert (onitu.mnt / "three").read_bytes() == b"x" * 1000
    trash = onitu.roots["a"] / ".onitufs/trash"
    assert sorted(path.name for path in trash.rglob("*") if path.is_file()) == ["one", "three", "two"]


def test_what_was_found_where_the_rules_want_it_goes_on_being_found(onitu: Onitu) -> None:
    onitu.umount()
    make_found(onitu, "b")
    onitu.mount()
    plan(onitu, "--apply")
    new = new_setup(onitu, rules=[ALL_TO_A])
    until("all was looked at", lambda: counts(plan(onitu, new))["b"] == {"found": 2})
    onitu.setup.write_text(new.read_text())
    os.kill(onitu.pid or 0, signal.SIGHUP)
    until("it is read", lambda: json.loads(onitu.ok("whereis", onitu.mnt / "docs/one", "--json"))["wanted"] == ["a"])
    onitu.wait()
    assert names(onitu.roots["b"]) == ["docs/one", "docs/two"]


def test_applying_goes_on_after_a_kill_and_never_drops_what_is_not_elsewhere(onitu: Onitu) -> None:
    onitu.umount()
    make_found(onitu, "a")
    onitu.mount()
    onitu.ok("entry", "pause", "b", "-m", onitu.mnt)
    new = new_setup(onitu, rules=[{"match": {"path": "/"}, "sync": ["b"]}])
    plan(onitu, "--apply", new)
    onitu.kill()
    onitu.mount()
    until(
        "docs are gone from a, b has them",
        lambda: names(onitu.roots["a"]) == ["three"],
    )
    onitu.wait("docs")
    assert names(onitu.roots["a"]) == ["three"]  # b has not got it yet
    onitu.ok("entry", "resume", "b", "-m", onitu.mnt)
    onitu.wait()
    assert names(onitu.roots["a"]) == []
    assert names(onitu.roots["b"]) == ["docs/one", "docs/two", "three"]


def without_a(onitu: Onitu) -> dict[str, Any]:
    entries = json.loads(onitu.setup.read_text())["entries"]
    return {"entries": {"b": entries["b"]}, "rules": [{"match": {"path": "/docs/"}, "sync": ["b"]}]}


def test_an_entry_with_last_copies_is_not_just_removed(onitu: Onitu) -> None:
    new = new_setup(onitu, **without_a(onitu))
    answer = plan(onitu, new)
    assert counts(answer) == {"a": {"left": 3, "last": 1}, "b": {}}
    before = onitu.setup.read_text()
    done = onitu.run("plan", "--apply", new, "-m", onitu.mnt)
    assert done.returncode == 7
    assert "no other entry has what it holds of 1" in done.stderr
    assert onitu.setup.read_text() == before

    onitu.setup.write_text(new.read_text())  # SIGHUP: the old one stays in force
    os.kill(onitu.pid or 0, signal.SIGHUP)
    until("it is refused", lambda: "entry a is not in it any more" in onitu.log())
    assert [entry["name"] for entry in onitu.status()["entries"]] == ["a", "b"]

    onitu.umount()
    done = onitu.run("mount", onitu.setup, onitu.mnt, "--state", onitu.state)
    assert done.returncode == 7
    assert done.stderr.count("\n") == 1
    assert "put it back" in done.stderr

    onitu.setup.write_text(before)
    onitu.mount()
    plan(onitu, "--apply", "--force", new)
    assert [entry["name"] for entry in onitu.status()["entries"]] == ["b"]
    assert names(onitu.roots["a"]) == ["docs/one", "docs/two", "three"]
    onitu.umount()
    onitu.mount()  # it was said once


def test_an_entry_whose_files_are_all_elsewhere_may_go(onitu: Onitu) -> None:
    (onitu.mnt / "three").unlink()
    onitu.wait()
    plan(onitu, "--apply", new_setup(onitu, **without_a(onitu)))
    assert [entry["name"] for entry in onitu.status()["entries"]] == ["b"]


@pytest.mark.parametrize("how", ["at a mount", "by SIGHUP", "by a plan"])
def test_an_entry_with_another_name_is_the_same_entry(onitu: Onitu, how: str) -> None:
    entries = json.loads(onitu.setup.read_text())["entries"]
    renamed = {"disk": entries["a"], "b": entries["b"]}
    rules = [{"match": {"path": "/"}, "sync": ["disk"]}, DOCS_TO_B]
    new = new_setup(onitu, entries=renamed, rules=rules)
    revs = {name: os.stat(onitu.roots["a"] / name).st_ino for name in names(onitu.roots["a"])}
    if how == "by a plan":
        answer = plan(onitu, "--apply", new)
        assert counts(answer) == {"b": {}, "disk": {}}
        assert [entry["renamed_from"] for entry in answer["entries"]] == [None, "a"]
    elif how == "by SIGHUP":
        onitu.setup.write_text(new.read_text())
        os.kill(onitu.pid or 0, signal.SIGHUP)
        until("it is read", lambda: [one["name"] for one in onitu.status()["entries"]] == ["disk", "b"])
    else:
        onitu.umount()
        onitu.setup.write_text(new.read_text())
        onitu.mount()
    onitu.wait()
    where = json.loads(onitu.ok("whereis", onitu.mnt / "three", "--json"))
    assert [(copy["entry"], copy["state"]) for copy in where["copies"]] == [("disk", "current")]
    assert {name: os.stat(onitu.roots["a"] / name).st_ino for name in names(onitu.roots["a"])} == revs
    told = [json.loads(line) for line in onitu.ok("events", "--json", "-n", "1000", "-m", onitu.mnt).splitlines()]
    assert [one for one in told if one["event"] == "placed" and one["entry"] == "disk"] == []  # nor looked at again
    (onitu.mnt / "three").write_text("new")
    onitu.wait()
    assert (onitu.roots["a"] / "three").read_text() == "new"
    (onitu.mnt / "docs/one").unlink()
    onitu.wait()
    assert names(onitu.roots["a"]) == ["docs/two", "three"]
