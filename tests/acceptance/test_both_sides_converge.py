"""A thousand random histories on both sides of three entries, with kills in between: nothing is lost, all agree."""

import os
import random

import pytest

from .conftest import Maker
from .harness import Onitu, until
from .histories import History, Removals
from .trees import files

RULES = [
    {"match": {"path": "/"}, "sync": ["a"]},
    {"match": {"path": "/left/"}, "sync": ["c"]},
    {"match": {"mime": "application/pdf"}, "sync": ["b"]},
    {"match": {"size": {"min": "20 KB"}}, "sync": ["c"]},
]
AT_ONCE = 50
ROUNDS = int(os.environ.get("ONITUFS_HISTORIES", "1000")) // AT_ONCE
STEPS = 8


def entries_by_the_rules(path: bytes, size: int) -> set[str]:
    """RULES, said again without any of our code."""
    wanted = {"a"}
    if path.startswith(b"left/"):
        wanted.add("c")
    if path.endswith(b".pdf"):
        wanted.add("b")
    if size >= 20_000:
        wanted.add("c")
    return wanted


def disagreement(onitu: Onitu, histories: list[History]) -> str:
    """What is not as it has to be in the end; "" if everything is."""
    mount = files(onitu.mnt)
    found = {name: files(root) for name, root in onitu.roots.items()}
    for path, facts in mount.items():
        for name in entries_by_the_rules(path, facts[1]):
            if found[name].get(path) != facts:
                return f"{path!r} of the mount is on {name}: {found[name].get(path)} instead of {facts}"
    for name, there in found.items():
        for path, facts in there.items():
            if mount.get(path) != facts:
                return f"{path!r} on {name} is in the mount: {mount.get(path)} instead of {facts}"
            meant = name in entries_by_the_rules(path, facts[1])
            number = list(onitu.roots).index(name) + 1
            story = next(history for history in histories if path.startswith(os.fsencode(history.name) + b"/"))
            if not meant and number not in story.touched:
                return f"{path!r} is on {name}, where neither the rules nor anybody else put it"
    return ""


def lost(onitu: Onitu, history: History) -> list[str]:
    """Contents that were written, and destroyed by nobody, and are nowhere."""
    there = {path.read_bytes() for path in (onitu.mnt / history.name).rglob("*") if path.is_file()}
    missing = set(history.written) - history.destroyed - there
    return [f"{content[:30]!r} of {history.written[content]}" for content in missing]


def converged(onitu: Onitu, histories: list[History]) -> bool:
    for entry in onitu.status()["entries"]:
        if entry["health"] == "suspended":
            onitu.ok("entry", "resume", entry["name"], "--accept-deletions", "--mount", onitu.mnt)
    onitu.wait(timeout=60)
    try:
        return not disagreement(onitu, histories)
    except FileNotFoundError:  # still changing
        return False


@pytest.mark.long(8)
@pytest.mark.parametrize("batch", range(ROUNDS))
def test_nothing_is_lost_and_all_agree(new_onitu: Maker, batch: int) -> None:
    onitu = new_onitu(entries=("a", "b", "c"), rules=RULES)
    dice = random.Random(f"both sides {batch}")
    sides = [onitu.mnt, *onitu.roots.values()]
    kind = Removals if batch % 4 == 3 else History
    histories = [
        kind(f"{'left' if n % 2 else 'right'}/h{n}", sides, random.Random(f"{batch} {n}")) for n in range(AT_ONCE)
    ]
    onitu.mount()
    for _ in range(STEPS):
        for history in histories:
            history.step([0, 1, 2, 3])
    onitu.kill()
    for history in histories:
        for _ in range(dice.randrange(3)):
            history.step([1, 2, 3])
    onitu.mount()
    for _ in range(STEPS):
        for history in histories:
            history.step([0, 0, 1, 2, 3])
    try:
        until("all agree", lambda: converged(onitu, histories), 90)
    except AssertionError:
        pytest.fail(disagreement(onitu, histories) or "it took long")
    for history in histories:
        missing = lost(onitu, history)
        assert not missing, f"lost: {missing}\n" + "\n".join(history.story)
