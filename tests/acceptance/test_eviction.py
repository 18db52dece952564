"""Bytes leave the local store only when the entries are seen to hold them; pinned ones stay."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Maker
from .harness import Onitu, until

MIB = 1 << 20


def here(onitu: Onitu, path: str) -> bool:
    answer: dict[str, Any] = json.loads(onitu.ok("whereis", onitu.mnt / path, "--json"))
    return bool(answer["here"])


def content_bytes(onitu: Onitu) -> int:
    return sum(path.stat().st_size for path in (onitu.state / "content").rglob("*") if path.is_file())


def limited(onitu: Onitu, quota: str = "40 MiB", **more: Any) -> Onitu:
    onitu.extra = {"quota": quota, "history": {"keep": 0}, **more}
    onitu.write_setup()
    onitu.mount()
    until("the store is measured", lambda: onitu.status()["store"]["bytes"] is not None)
    return onitu


def free(onitu: Onitu, path: str = "") -> dict[str, str]:
    """`onitufs free`: the reason for each file that stays, "" for those that went."""
    lines = [json.loads(line) for line in onitu.run("free", onitu.mnt / path, "--json").stdout.splitlines()]
    assert lines[-1]["done"]
    return {line["path"]: line["reason"] for line in lines[:-1]}


# -- free ------------------------------------------------------------------------------------------------------------


def test_free_lets_go_of_what_the_entries_hold_and_reading_brings_it_back(onitu: Onitu) -> None:
    files = {f"d/{n}": os.urandom(n * 100_000 + 1) for n in range(20)}
    (onitu.mnt / "d").mkdir()
    for name, data in files.items():
        (onitu.mnt / name).write_bytes(data)
    onitu.wait()
    assert set(free(onitu).values()) == {""}
    assert content_bytes(onitu) == 0
    assert not here(onitu, "d/7")
    before = (onitu.mnt / "d/7").stat()
    assert before.st_size == 700_001
    onitu.kill()
    onitu.mount()
    for name, data in files.items():
        assert (onitu.mnt / name).read_bytes() == data
    assert (onitu.mnt / "d/7").stat().st_ino == before.st_ino


def test_what_is_not_safe_elsewhere_stays_and_the_reason_is_told(new_onitu: Maker) -> None:
    onitu = new_onitu(rules=[{"match": {"path": "/placed/"}, "sync": ["a", "b"]}])
    onitu.mount()
    (onitu.mnt / "placed").mkdir()
    for name in ("only here", "placed/open", "placed/fine", "placed/changed", "placed/lost"):
        (onitu.mnt / name).write_bytes(name.encode() * 1000)
    onitu.wait()
    onitu.ok("entry", "pause", "b", "--mount", onitu.mnt)
    assert set(free(onitu).values()) == {"it is only here", "b cannot be asked"}
    onitu.ok("entry", "resume", "b", "--mount", onitu.mnt)
    until("b is up", lambda: all(entry["health"] == "up" for entry in onitu.status()["entries"]))
    with open(onitu.mnt / "placed/open") as reader:
        found = free(onitu, "placed/open")
        assert reader.read(4) == "plac"
    assert found == {"/placed/open": "a program has it open"}
    assert free(onitu, "placed/fine") == {"/placed/fine": ""}
    done = onitu.run("free", onitu.mnt / "only here")
    assert done.returncode == 5
    assert done.stdout.splitlines()[0] == "/only here: stays here: it is only here"


def test_an_entry_that_says_it_has_what_it_has_not(new_onitu: Maker) -> None:
    """Same size, same time, same inode number: only the bytes tell. (Elsewhere it would be taken for an edit.)"""
    onitu = new_onitu()
    entries = {
        name: {"driver": "local_storage", "options": {"root": str(root)}, "mode": "w"}
        for name, root in onitu.roots.items()
    }
    onitu.extra = {"entries": entries}
    onitu.write_setup()
    onitu.mount()
    data = os.urandom(200_000)
    (onitu.mnt / "film").write_bytes(data)
    onitu.wait()
    there = onitu.roots["b"] / "film"
    found = there.stat()
    with open(there, "r+b") as file:
        file.write(b"rotten")
    os.utime(there, ns=(found.st_atime_ns, found.st_mtime_ns))
    reasons = free(onitu)
    assert reasons["/film"].startswith("b "), reasons
    assert here(onitu, "film")
    assert (onitu.mnt / "film").read_bytes()[6:] == data[6:]


def test_a_copy_that_somebody_deleted_is_not_counted_on(onitu: Onitu) -> None:
    (onitu.mnt / "film").write_bytes(b"frames" * 1000)
    onitu.wait()
    onitu.kill()  # so that nobody sees it happen
    (onitu.roots["a"] / "film").unlink()
    (onitu.roots["b"] / "film").unlink()
    onitu.mount()
    until("the entries are up", lambda: all(entry["health"] == "up" for entry in onitu.status()["entries"]))
    assert "" not in free(onitu).values()


def test_a_rule_that_takes_an_absent_file_off_its_entry_brings_it_here_first(new_onitu: Maker) -> None:
    onitu = new_onitu(entries=("a",))
    onitu.mount()
    (onitu.mnt / "film").write_bytes(b"frames" * 1000)
    onitu.wait()
    assert free(onitu) == {"/film": ""}
    onitu.rules = [{"match": {"path": "/"}, "local": True}]
    onitu.write_setup()
    os.kill(onitu.pid or 0, signal.SIGHUP)
    until("it left the entry", lambda: not (onitu.roots["a"] / "film").exists())
    assert here(onitu, "film")
    assert (onitu.mnt / "film").read_bytes() == b"frames" * 1000


# -- by itself, under a quota ------------------------------------------------------------------------------------------


@pytest.mark.long(15)
def test_more_is_saved_than_the_quota_holds_and_all_of_it_is_there(new_onitu: Maker) -> None:
    onitu = limited(new_onitu())
    files = {}
    for n in range(60):
        files[f"{n}"] = os.urandom(2 * MIB)
        until("there is room", lambda: os.statvfs(onitu.mnt).f_bavail * 4096 > 3.5 * MIB)
        (onitu.mnt / f"{n}").write_bytes(files[f"{n}"])
    assert content_bytes(onitu) <= 40 * MIB
    onitu.wait()
    assert not here(onitu, "0")
    for name, data in files.items():
        assert (onitu.mnt / name).read_bytes() == data
        for root in onitu.roots.values():
            assert (root / name).read_bytes() == data


def test_pinned_files_stay_and_what_is_pinned_comes(new_onitu: Maker) -> None:
    onitu = limited(new_onitu())
    (onitu.mnt / "music").mkdir()
    for n in range(4):
        (onitu.mnt / f"music/{n}").write_bytes(os.urandom(2 * MIB))
    onitu.wait()
    assert set(free(onitu, "music").values()) == {""}
    assert "4 files (8.0 MiB) being fetched" in onitu.ok("pin", onitu.mnt / "music")
    until("it has come", lambda: all(here(onitu, f"music/{n}") for n in range(4)))
    for n in range(20):
        until("there is room", lambda: os.statvfs(onitu.mnt).f_bavail * 4096 > 3.5 * MIB)
        (onitu.mnt / f"{n}").write_bytes(os.urandom(3 * MIB))
    onitu.wait()
    assert not here(onitu, "0")
    assert all(here(onitu, f"music/{n}") for n in range(4))
    assert free(onitu, "music/1") == {"/music/1": "it is pinned"}
    assert onitu.status()["store"]["pins"] == 1
    assert onitu.ok("unpin", onitu.mnt / "music/1").endswith("still pinned, by /music\n")
    onitu.ok("unpin", onitu.mnt / "music")
    assert free(onitu, "music/1") == {"/music/1": ""}


def test_what_no_entry_holds_is_never_let_go_of(new_onitu: Maker) -> None:
    onitu = limited(new_onitu(rules=[{"match": {"path": "/placed/"}, "sync": ["a", "b"]}]))
    (onitu.mnt / "placed").mkdir()
    precious = os.urandom(20 * MIB)
    (onitu.mnt / "precious").write_bytes(precious)
    for n in range(12):
        until("there is room", lambda: os.statvfs(onitu.mnt).f_bavail * 4096 > 3.5 * MIB)
        (onitu.mnt / f"placed/{n}").write_bytes(os.urandom(3 * MIB))
    onitu.wait()
    until("some went", lambda: not here(onitu, "placed/0"))
    assert here(onitu, "precious")
    assert (onitu.mnt / "precious").read_bytes() == precious


@pytest.mark.long(12)
@pytest.mark.timeout(600)
def test_killed_while_bytes_are_let_go_of(new_onitu: Maker) -> None:
    """Kills at any moment of a time in which files are saved, placed and let go of: none loses a byte."""
    onitu = limited(new_onitu())
    files: dict[str, bytes] = {}
    for turn in range(8):
        for n in range(8):
            name = f"{turn}-{n}"
            until("there is room", lambda: os.statvfs(onitu.mnt).f_bavail * 4096 > 3.5 * MIB)
            files[name] = os.urandom(MIB + turn)
            (onitu.mnt / name).write_bytes(files[name])
        freeing = threading.Thread(target=onitu.run, args=("free", onitu.mnt))
        freeing.start()
        time.sleep(turn * 0.02)  # chooses the moment
        onitu.kill()
        freeing.join()
        onitu.mount()
    onitu.wait()
    for name, data in files.items():
        assert (onitu.mnt / name).read_bytes() == data, name


def test_the_local_store_names_nothing_that_is_gone(new_onitu: Maker) -> None:
    """After all was freed and the daemon killed, the search for strays finds nothing to remove."""
    onitu = limited(new_onitu())
    for n in range(10):
        (onitu.mnt / f"{n}").write_bytes(os.urandom(MIB))
    onitu.wait()
    free(onitu)
    onitu.kill()
    onitu.mount()
    until("measured", lambda: onitu.status()["store"]["bytes"] == 0)
    assert [path for path in Path(onitu.state / "content").rglob("*") if path.is_file()] == []
