"""How long is waited."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from onitufs.drivers.backoff import Backoff


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 10_000))
def test_within_its_bounds(seed, failures):
    backoff = Backoff(Random(seed), first_s=2.0, cap_s=300.0)
    assert 0.25 <= backoff.delay_s(failures) <= min(300.0, 2.0 * 2 ** min(failures, 30))


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 50), st.floats(0, 10_000))
def test_what_the_service_asked_for_is_obeyed_and_not_overdone(seed, failures, asked):
    delay = Backoff(Random(seed)).delay_s(failures, asked)
    assert asked <= delay <= asked * 1.1 + 1.0


def test_two_clients_do_not_come_back_together():
    delays = {Backoff(Random(seed)).delay_s(6) for seed in range(50)}
    assert len(delays) == 50
    assert max(delays) - min(delays) > 30
