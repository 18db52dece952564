"""Promise 8: whatever happens and in whatever order, in the end each entry holds exactly what the rules say."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onitufs.model.files import Kind
from onitufs.referee.reconcile import stays_inside

from . import programs
from .world import World

careful = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


def converge(script: list[programs.Step], seed: int) -> None:
    """Play a script against a schedule drawn from the seed, let everything settle, and compare."""
    world = World(["A", "B", "C"], programs.rulebook(0), seed)
    programs.run(world, script)
    world.finish()
    holds_what_the_rules_say(world)


def holds_what_the_rules_say(world: World) -> None:
    """Compare the entries with the mount and the rules, by code that knows nothing of orders and Copies."""
    expected: dict[str, dict[bytes, bytes | None]] = {entry: {} for entry in world.remotes}
    found = {entry: remote.listing() for entry, remote in world.remotes.items()}
    for node in world.mount.living():
        path, verdict = world.mount.path(node.file), world.verdict(node)
        content: bytes | None = node.content
        if node.kind is Kind.DIRECTORY:
            content = None
        elif node.kind is Kind.SYMLINK:
            content = b"-> " + node.target
            if not stays_inside(node.target, path.count(b"/") - 1):
                continue
        on = list(verdict.targets)
        if verdict.copies is not None and verdict.copies < len(on):
            there = [entry for entry in on if path in found[entry]]
            if node.kind is Kind.DIRECTORY:  # it may be on more, for what is in it
                assert len(there) >= verdict.copies
            else:
                assert len(there) == verdict.copies, f"{path!r} is on {there}"
            on = there
        for entry in on:
            expected[entry][path] = content
            for directory in world.mount.above(node.file):
                expected[entry][world.mount.path(directory)] = None
    assert found == expected


@pytest.mark.long(7)
@careful
@given(script=programs.scripts | programs.busy_scripts, seed=st.integers(0, 2**32 - 1))
def test_each_entry_ends_with_what_the_rules_say(script: list[programs.Step], seed: int) -> None:
    """Saves, renames, exchanges, deletions, rule changes, restarts, failures, in any order of events and outcomes."""
    converge(script, seed)
