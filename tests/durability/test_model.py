"""Promises 1 and 2 as a property of random histories: calls, folds and barriers in steps, kills and power cuts."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from .planted import PLANTED, DroppedHotForOneContent, NoStopAtBadRecord
from .world import Op, Rules, Violation, play

HISTORIES = int(os.environ.get("ONITUFS_HISTORIES", "1500"))
"""How many histories the test of the real code plays; raise it for a long search."""

Life = tuple[list[Op], int | None, bool]

_NAME = st.integers(0, 2)
_AMOUNT = st.integers(0, 3)
_ANY = (
    "create", "write", "seal", "close", "open_again", "open_truncating", "cut_off", "rename", "link", "unlink", "fsync",
    "barrier", "fold", "collect", "cool", "step", "steps",
)  # fmt: skip


def _phrase(*ops: str) -> st.SearchStrategy[list[Op]]:
    """These calls in a row, on one file."""
    return st.tuples(_NAME, _AMOUNT).map(lambda at: [(op, *at) for op in ops])


_PHRASES = st.one_of(
    st.tuples(st.sampled_from(_ANY), _NAME, _AMOUNT).map(lambda op: [op]),
    _phrase("create", "write", "write", "close"),
    _phrase("open_truncating", "write", "close"),
    _phrase("open_again", "write", "steps", "write", "cut_off", "seal"),
    _phrase("open_again", "steps", "write", "write", "close"),
    _phrase("fsync", "steps"),
    _phrase("fsync", "rename", "fsync", "step"),
    _phrase("fold", "step", "steps", "steps", "collect"),
)
_LIFE = st.tuples(
    st.lists(_PHRASES, max_size=14).map(lambda phrases: [op for phrase in phrases for op in phrase]),
    st.one_of(st.none(), st.integers(0, 150)),
    st.booleans(),
)
_LIVES = st.lists(_LIFE, min_size=1, max_size=3)
_SEED = st.integers(0, 2**32 - 1)
_MID_BARRIER = st.tuples(
    st.lists(_PHRASES, min_size=2, max_size=6),
    _phrase("fsync"),
    st.lists(st.just(("step", 0, 0)), min_size=2, max_size=6),
).map(lambda parts: ([([op for phrase in parts[0] for op in phrase] + parts[1] + parts[2], None, True)]))
"""One life that ends in a power cut a few steps into a barrier: where half the journal may be on disk."""
_TWO_MARKS = st.tuples(
    _phrase("create", "write", "close"),
    _phrase("fsync", "steps"),
    _phrase("open_again", "steps", "write", "write"),
    st.lists(_PHRASES, max_size=2),
    _phrase("open_truncating", "close", "open_again", "steps"),
).map(lambda parts: [([*parts[0], *parts[1], *parts[2], *(op for p in parts[3] for op in p), *parts[4]], None, True)])
"""One life that opens a file in place, empties it, opens it again, and ends in a power cut."""


def _play(history: tuple[Sequence[Life], int], rules: Rules) -> None:
    lives, seed = history
    fast = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="onitufs-model-", dir=fast if fast.is_dir() else None))
    try:
        play(directory, lives, seed, rules)
    finally:
        shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of power cuts would each be logged."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@given(history=st.tuples(_LIVES, _SEED))
@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_was_answered_survives_a_kill_and_what_was_fsynced_a_power_cut(
    history: tuple[Sequence[Life], int],
) -> None:
    """After a kill all is there; after a power cut a prefix with all that was fsynced, and no sealed byte differs."""
    _play(history, Rules())


@pytest.mark.parametrize("rules", PLANTED, ids=lambda rules: str(rules.__name__))
def test_the_model_notices_when_a_rule_is_left_out(rules: type[Rules]) -> None:
    """Each rule is there for a reason: without it the same histories break a promise."""

    def breaks(history: tuple[Sequence[Life], int]) -> bool:
        try:
            _play(history, rules())
        except Violation:
            return True
        return False

    lives = {NoStopAtBadRecord: _MID_BARRIER, DroppedHotForOneContent: _TWO_MARKS}.get(rules, _LIVES)
    try:
        find(
            st.tuples(lives, _SEED),
            breaks,
            settings=settings(
                max_examples=4000,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    except NoSuchExample:
        pytest.fail(f"not noticed: {rules.__doc__}")
