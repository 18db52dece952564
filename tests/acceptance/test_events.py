"""`onitufs events`: what happens to a file, told while it happens, in lines that a program can read."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .harness import ONITUFS, Onitu


@contextmanager
def following(onitu: Onitu, *options: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [ONITUFS, "events", "--follow", "--json", "-m", str(onitu.mnt), *options],
        stdout=subprocess.PIPE, text=True, env=onitu.environment,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()


def heard(process: "subprocess.Popen[str]", last: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    """(event, path, entry) of each line up to `last`."""
    assert process.stdout is not None
    found: list[tuple[str, str, str]] = []
    while not found or found[-1] != last:
        line = process.stdout.readline()
        assert line, f"ended before {last}: {found}"
        event = json.loads(line)
        assert event["v"] == 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        found.append((event["event"], event.get("path", ""), event.get("entry", "")))
    return found


def test_the_life_of_a_file(onitu: Onitu) -> None:
    with following(onitu) as process:
        (onitu.mnt / "a.txt").write_text("x")
        told = heard(process, ("saved", "/a.txt", ""))
        onitu.wait()
        told += heard(process, ("placed", "/a.txt", "b")) if ("placed", "/a.txt", "b") not in told else []
        (onitu.mnt / "a.txt").rename(onitu.mnt / "b.txt")
        onitu.wait()
        told += heard(process, ("moved", "/b.txt", "b"))
        (onitu.mnt / "b.txt").unlink()
        onitu.wait()
        told += heard(process, ("removed", "/b.txt", "b"))
        onitu.ok("entry", "pause", "b", "-m", onitu.mnt)
        told += heard(process, ("entry", "", "b"))
    of_b = [one for one in told if one[1] and one[2] != "a"]
    assert of_b == [
        ("saved", "/a.txt", ""),
        ("placed", "/a.txt", "b"),
        ("renamed", "/b.txt", ""),
        ("moved", "/b.txt", "b"),
        ("deleted", "/b.txt", ""),
        ("removed", "/b.txt", "b"),
    ]


def test_attributes_set_in_the_same_moment_hide_nothing(onitu: Onitu) -> None:
    """As the kernel does, which may tell the times of a write or a rename later."""
    (onitu.mnt / "a").write_text("x")
    (onitu.mnt / "a").chmod(0o600)
    onitu.wait()
    (onitu.mnt / "a").rename(onitu.mnt / "b")
    (onitu.mnt / "b").chmod(0o640)
    onitu.wait()
    (onitu.mnt / "b").chmod(0o600)
    onitu.wait()
    lines = map(json.loads, onitu.ok("events", "--json", "-m", onitu.mnt).splitlines())
    told = [(one["event"], one["path"]) for one in lines if "path" in one and "entry" not in one]
    assert told == [("saved", "/a"), ("renamed", "/b"), ("attributes", "/b")]


def test_what_happened_last_can_be_asked_afterwards(onitu: Onitu) -> None:
    (onitu.mnt / "new").write_text("x")
    (onitu.mnt / "new").rename(onitu.mnt / "saved as programs do it")
    onitu.wait()
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in onitu.ok("events", "--json", "-m", onitu.mnt).splitlines()
    ]
    assert [one["event"] for one in lines if one.get("path") == "/saved as programs do it"].count("saved") == 1
    placed = [one for one in lines if one["event"] == "placed"]
    assert sorted((one["entry"], one["bytes"]) for one in placed) == [("a", 1), ("b", 1)]
    assert onitu.ok("events", "-n", "0", "-m", onitu.mnt) == ""
    said = onitu.ok("events", "-m", onitu.mnt)
    assert re.search(r"placed /saved as programs do it on a\n", said)
    assert re.search(r"entry a: up\n", said)


def test_who_does_not_read_holds_up_nobody(onitu: Onitu) -> None:
    with following(onitu, "-n", "0") as process:  # its pipe holds 64 KiB, its socket some more
        for number in range(1500):
            (onitu.mnt / f"a file with quite a long name, so that lines get long {number:0150}").touch()
        onitu.wait()
        assert process.stdout is not None
        (onitu.mnt / "last").touch()
        told = missed = 0
        event: dict[str, Any] = {}
        while (event.get("event"), event.get("path"), event.get("entry")) != ("placed", "/last", "b"):
            event = json.loads(process.stdout.readline())
            missed += event.get("lost", 0)
            told += "lost" not in event
    assert missed
    assert 3 * 1500 <= missed + told <= 4 * 1500 + 4
