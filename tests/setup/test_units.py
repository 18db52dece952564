"""Sizes, rates and durations: what people write is read exactly, and what is not certain is refused."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onitufs.model import units

BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
SECONDS = {"ms": Fraction(1, 1000), "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "days": 86400, "weeks": 604800}


@given(st.integers(0, 10**6), st.sampled_from(sorted(BYTES)), st.sampled_from(["", " "]))
def test_whole_sizes(number: int, unit: str, space: str) -> None:
    assert units.size(f"{number}{space}{unit}") == number * BYTES[unit]


@given(st.integers(0, 10**6), st.integers(0, 999), st.sampled_from(["kB", "MB", "GB", "TB"]))
def test_fractions_of_sizes_are_exact(whole: int, thousandths: int, unit: str) -> None:
    assert units.size(f"{whole}.{thousandths:03} {unit}") == (whole * 1000 + thousandths) * BYTES[unit] // 1000


@given(st.integers(0, 10**6), st.sampled_from(sorted(SECONDS)), st.sampled_from(["", " "]))
def test_durations(number: int, unit: str, space: str) -> None:
    seconds = number * SECONDS[unit]
    if seconds <= units.MOST_SECONDS:
        assert units.duration(f"{number}{space}{unit}") == float(seconds)


@given(
    st.integers(0, 10**6),
    st.sampled_from(["B", "kB", "MiB", "bit", "kbit", "Mbit", "Gbit"]),
    st.sampled_from(["", " "]),
)
def test_rates(number: int, unit: str, space: str) -> None:
    bits = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
    rate = number * bits[unit] // 8 if unit in bits else number * BYTES[unit]
    if rate >= units.LEAST_RATE:
        assert units.rate(f"{number}{space}{unit}/s") == rate


@pytest.mark.parametrize(
    "value",
    ["2 MB", "2 Mb/s", "16 Mbps", "2 MB/s ", "1,5 MB/s", "-2 MB/s", "0 B/s", "999 B/s", "7 kbit/s", 999, 0, 2**63, 1.5,
     True, None, "1 mbit/s", "2 MB / s", "2M"],
)  # fmt: skip
def test_other_rates_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"rate|limit"):
        units.rate(value)


@given(st.integers(0, units.MOST_BYTES), st.floats(0, units.MOST_SECONDS))
def test_plain_numbers(size: int, duration: float) -> None:
    assert units.size(size) == size
    assert units.duration(duration) == duration


@given(st.text(max_size=8) | st.from_regex(r"[-+]?[0-9]+([.,][0-9]+)? ?[a-zA-Z]{0,3}", fullmatch=True))
def test_any_other_text_is_refused_and_never_misread(text: str) -> None:
    """What is accepted is a number as written and a unit that we know, and nothing around them."""
    for read, known in (
        (units.size, {**BYTES, "PB": 1, "TiB": 1, "PiB": 1}),
        (units.duration, {**SECONDS, "day": 1, "w": 1, "week": 1}),
    ):
        try:
            read(text)
        except ValueError:
            continue
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)", text, re.ASCII)
        assert found is not None
        assert found[2] in known


@pytest.mark.parametrize(
    "value",
    ["1,5 GB", "10", "", "-1 MB", "+1 MB", "1 gb", "1 mb", "10 m", "1  MB", " 1 MB", "1 MB ", "1 MB\n", "1e3 B",
     ".5 GB", "1. GB", "1_000 B", "٣ B", "0.5 B", "1.0001 kB", "9 EB", "99999999 PB", -1, 2**63, 1.5, True, None, [],
     {}],
)  # fmt: skip
def test_sizes_that_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"size|bytes"):
        units.size(value)


@pytest.mark.parametrize(
    "value",
    ["90", "-5m", "10 M", "1h30m", "2 months", "1 year", "1,5 h", " 1 s", "1 s ", "inf", "1e9 s", -1, float("nan"),
     float("inf"), True, None, "999999 weeks"],
)  # fmt: skip
def test_durations_that_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        units.duration(value)
