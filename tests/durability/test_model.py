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

from .planted import (
    PLANTED,
    ArrivalsUnsynced,
    BelievedBeforeItCame,
    CarriedForEver,
    DroppedHotForgotten,
    DroppedHotForOneContent,
    FoldBeforeBarrier,
    NoStopAtBadRecord,
    NoWaitForHot,
    SyncedAgain,
    SyncfsTrusted,
    SyncsAtOnce,
)
from .world import Op, Rules, Violation, play

HISTORIES = int(os.environ.get("ONITUFS_HISTORIES", "1500"))
"""How many histories the test of the real code plays; raise it for a long search."""

Life = tuple[list[Op], int | None, bool]

_NAME = st.integers(0, 2)
_AMOUNT = st.integers(0, 3)
_ANY = (
    "create", "write", "seal", "close", "open_again", "open_truncating", "cut_off", "rename", "link", "unlink", "fsync",
    "barrier", "fold", "collect", "cool", "lose_pages", "step", "steps", "expire", "restore",
    "adopt", "change", "fetch",
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
    _phrase("unlink", "restore"),
    _phrase("unlink", "fsync", "steps", "expire", "collect", "step"),
    _phrase("lose_pages", "fsync", "steps", "fsync", "steps"),
    _phrase("fsync", "rename", "fsync", "step"),
    _phrase("adopt", "fetch", "open_again", "steps", "write", "close"),
    _phrase("change", "fetch", "fsync", "steps"),
    _phrase("fold", "step", "steps", "steps", "collect"),
)
_LIFE = st.tuples(
    st.lists(_PHRASES, max_size=14).map(lambda phrases: [op for phrase in phrases for op in phrase]),
    st.one_of(st.none(), st.integers(0, 150)),
    st.booleans(),
)
_LIVES = st.lists(_LIFE, min_size=1, max_size=3)
_SEED = st.integers(0, 2**32 - 1)


_NOTHING: st.SearchStrategy[list[Op]] = st.just([])


def _life(*phrases: str, ends: st.SearchStrategy[list[Op]] = _NOTHING) -> st.SearchStrategy[list[Life]]:
    """One life of these calls ("create a 2": on file a, amount 2), then `ends`, then a power cut."""
    ops = [(op, "abc".index(name), int(amount)) for op, name, amount in (phrase.split() for phrase in phrases)]
    return ends.map(lambda more: [([*ops, *more], None, True)])


_CHANGED_IN_PLACE = _life(
    "create a 0", "write a 2", "close a 0", "fsync a 0", "steps a 0", "open_again a 0", "steps a 0", "write a 3",
)  # fmt: skip
_FOCUSED: dict[type[Rules], st.SearchStrategy[list[Life]]] = {
    # What was fetched is recorded, and that record is on disk.
    ArrivalsUnsynced: _life("adopt a 1", "fetch a 1", "fsync a 0", "steps a 0"),
    BelievedBeforeItCame: _life("adopt a 1", "fetch a 3", "fsync a 0", "steps a 0"),
    # A barrier is cut short: any page of the journal may be missing, B(S) there.
    NoStopAtBadRecord: _life(
        "create a 0", "close a 0", "create b 0", "close b 0", "create c 0", "close c 0", "fsync c 0",
    ),
    # A file that is on disk is changed in place, and power fails before what ends that is on disk, too.
    NoWaitForHot: _CHANGED_IN_PLACE,
    DroppedHotForgotten: _CHANGED_IN_PLACE,
    # A fold is under way.
    FoldBeforeBarrier: _life("create a 0", "write a 2", "close a 0", "fold a 0", "step a 0"),
    # A sync fails, and is asked for again.
    SyncedAgain: _life(
        "create a 0", "write a 2", "close a 0", "lose_pages a 0", "fsync a 0", "steps a 0", "fsync a 0", "steps a 0",
    ),
    # A file is changed in place, emptied, and opened again.
    DroppedHotForOneContent: _life(
        "create a 0", "write a 1", "close a 0", "fsync a 0", "steps a 0", "open_again a 0", "steps a 0", "write a 2",
        "open_truncating a 0", "close a 0", "open_again a 0", "steps a 0",
    ),
    # A small file is carried by the journal, grows in place, and is then synced by itself.
    CarriedForEver: _life(
        "create a 0", "write a 0", "close a 0", "fsync a 0", "steps a 0", "open_again a 0", "steps a 0", "write a 2",
        "write a 3", "close a 0", "cool a 0", "fsync a 0", "steps a 0",
    ),
    # The sync of one file tells that another could not be written, which is sealed only then.
    SyncfsTrusted: _life(
        "create a 0", "write a 2", "lose_pages a 0", "create b 0", "close b 0", "fsync b 0", "steps b 0",
        "fsync b 0", "steps b 0", "seal a 0", "fsync a 0", "steps a 0",
    ),
    # A hot mark and a barrier sync the journal while its pages are lost.
    SyncsAtOnce: _life(
        "create a 0", "write a 0", "close a 0", "fsync a 0", "steps a 0", "open_again a 0", "create b 0",
        "lose_pages a 0", "barrier a 0",
        ends=st.lists(st.tuples(st.just("step"), st.integers(0, 1), st.just(0)), min_size=2, max_size=5),
    ),
}  # fmt: skip
"""Histories for the bugs that chance alone meets seldom, or late."""


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


@pytest.mark.long(40)
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
        except (Violation, FileNotFoundError):  # bytes that are not there when they are needed
            return True
        return False

    try:
        find(
            st.tuples(_FOCUSED.get(rules, _LIVES), _SEED),
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
