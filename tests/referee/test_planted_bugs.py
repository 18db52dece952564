"""Each property can fail: with one small step of the Referee done wrong, Hypothesis finds out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from onitufs.model.files import Kind
from onitufs.model.orders import Done
from onitufs.referee import ledger, reconcile
from onitufs.referee.ledger import Changes

from . import programs
from .test_it_converges import converge

Plant = Callable[[pytest.MonkeyPatch], None]
PLANTS: dict[str, Plant] = {}


def plant(function: Plant) -> Plant:
    PLANTS[function.__name__] = function
    return function


def _ledger(change: Callable[[Done, Changes], Changes]) -> Plant:
    real = ledger.apply

    def wrong(done: Done, *rest: Any) -> Changes:
        return change(done, real(done, *rest))

    return lambda patch: patch.setattr(ledger, "apply", wrong)


@plant
def the_last_copy_may_go(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "may_drop", lambda *_: True)


@plant
def any_generation_is_current(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "is_current", lambda _, copy: copy.kind is Kind.DIRECTORY or copy.generation != 0)


@plant
def anything_is_taken_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "can_take_over", lambda *_: True)


@plant
def nobody_parks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "_park", lambda *_: reconcile._NOT_YET)


@plant
def nothing_settles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "settles_in", lambda *_: 0.0)


@plant
def a_directory_is_wanted_by_rules_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "is_wanted", lambda state, view, required: state.alive and view.entry in required)


@plant
def copies_do_not_count(patch: pytest.MonkeyPatch) -> None:
    real = reconcile.required_entries

    def wrong(state: Any) -> Any:
        return real(replace(state, verdict=state.verdict and replace(state.verdict, copies=None)))

    patch.setattr(reconcile, "required_entries", wrong)


@plant
def every_order_fits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "fits", lambda *_: True)


PLANTS["a_takeover_forgets_what_it_left"] = _ledger(
    lambda done, changes: replace(
        changes, put=tuple(copy for copy in changes.put if copy.kind is Kind.DIRECTORY or copy.generation)
    )
)
PLANTS["a_taken_over_directory_is_empty"] = _ledger(
    lambda done, changes: replace(changes, put=changes.put[:1] if changes.removed else changes.put)
)
PLANTS["an_emptied_directory_is_not_asked_about"] = _ledger(
    lambda done, changes: replace(changes, ask=(done.order.file,))
)


@pytest.mark.parametrize("name", PLANTS)
def test_it_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(
        deadline=None,
        max_examples=3000,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(script=programs.busy_scripts, seed=st.integers(0, 2**32 - 1))
    def the_property(script: list[programs.Step], seed: int) -> None:
        converge(script, seed)

    PLANTS[name](monkeypatch)
    with pytest.raises((AssertionError, KeyError, ExceptionGroup)):
        the_property()
