"""Which work may be done at the same time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from onitufs.drivers.claims import Claims, Ticket

PATHS = st.lists(st.sampled_from([b"a", b"b"]), max_size=3).map(tuple)
CLAIMS = st.tuples(PATHS, st.booleans())


def conflict(one: tuple[tuple[bytes, ...], bool], two: tuple[tuple[bytes, ...], bool]) -> bool:
    """The rule as it is written: an ancestor or itself, unless the one above is shared (or both, on one path)."""
    (upper, upper_shared), (lower, lower_shared) = sorted((one, two), key=lambda claim: len(claim[0]))
    if lower[: len(upper)] != upper:
        return False
    if upper == lower:
        return not (upper_shared and lower_shared)
    return not upper_shared


@settings(deadline=None)
@given(st.lists(CLAIMS, max_size=6), st.lists(CLAIMS, min_size=1, max_size=2), st.data())
def test_what_is_in_the_way_is_what_the_rule_says(held, wanted, data):
    claims = Claims()
    tickets = []
    for claim in held:
        ticket = Ticket()
        claims.take(ticket, [claim])
        tickets.append((ticket, claim))
    for _ in range(data.draw(st.integers(0, len(tickets)))):
        ticket, _ = tickets.pop(data.draw(st.integers(0, len(tickets) - 1)))
        claims.release(ticket)
    expected = {id(ticket) for ticket, claim in tickets if any(conflict(claim, other) for other in wanted)}
    found = claims.in_the_way(wanted)
    assert (found is None) == (not expected)
    assert found is None or id(found) in expected


def test_what_waited_is_given_back_once():
    claims = Claims()
    ticket = Ticket()
    claims.take(ticket, [((b"a",), False), ((b"b",), False)])
    ticket.waiting.append("later")
    assert claims.release(ticket) == ["later"]
    assert claims.release(ticket) == []
    assert claims.in_the_way([((), False)]) is None
