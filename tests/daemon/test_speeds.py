"""How fast entries are: what is said of them, then what is measured. All of it pure."""

from dataclasses import replace

import pytest

from onitufs.content.partial import BLOCK_BYTES
from onitufs.daemon.reading_ahead import (
    AT_ONCE,
    FIRST_BYTES,
    LEAST_AHEAD,
    LITTLE_S,
    MOST_AHEAD,
    MOST_PIECE,
    NEAR,
    Streams,
    ahead_of,
    around,
    piece_of,
)
from onitufs.daemon.speeds import HALF_LIFE_S, LARGE_BYTES, Line, Measured, Speed, said

MIB = 1 << 20
FAST, SLOW = said(1), said(0)


def measured(speed: Speed, times: int = 4, at_s: float = 0.0) -> Measured:
    """Of an entry that is that fast."""
    known = Measured()
    for _ in range(times):
        known = known.and_(0, speed.latency_s, 0.0, at_s)
        known = known.and_(MIB, speed.takes_s(MIB), MIB / speed.bytes_per_s, at_s)
    return known


def test_without_measurements_it_is_as_said() -> None:
    for velocity in (0, 0.3, 1):
        found, wanted = Measured().speed(said(velocity), 100.0), said(velocity)
        assert (found.latency_s, found.bytes_per_s) == pytest.approx((wanted.latency_s, wanted.bytes_per_s))


def test_the_faster_the_velocity_the_less_a_call_takes() -> None:
    for length in (0, 1, MIB, 1 << 30):
        takes = [said(velocity / 10).takes_s(length) for velocity in range(11)]
        assert takes == sorted(takes, reverse=True)


def test_a_few_measurements_overrule_what_was_said() -> None:
    for real, wrong in ((FAST, SLOW), (SLOW, FAST)):
        found = measured(real).speed(wrong, 0.0)
        assert real.latency_s / 2 < found.latency_s < real.latency_s * 2
        assert real.bytes_per_s / 2 < found.bytes_per_s < real.bytes_per_s * 2


def test_they_count_less_as_they_age() -> None:
    known = measured(SLOW)
    after = [known.speed(FAST, halves * HALF_LIFE_S).takes_s(MIB) for halves in range(20)]
    assert after == sorted(after, reverse=True)
    assert after[-1] == pytest.approx(FAST.takes_s(MIB), rel=0.01)


def test_one_hiccup_does_not_outweigh_many_good_ones_and_a_lasting_change_does() -> None:
    known = measured(FAST, times=20)
    hiccup = known.and_(MIB, 10.0, 10.0, 0.0)
    assert hiccup.speed(FAST, 0.0).takes_s(MIB) < 0.01
    for _ in range(30):
        known = known.and_(MIB, SLOW.takes_s(MIB), MIB / SLOW.bytes_per_s, 0.0)
    assert known.speed(FAST, 0.0).takes_s(MIB) > SLOW.takes_s(MIB) / 10


def test_silence_counts_as_being_slow() -> None:
    assert Measured().and_silent(10.0, 0.0).speed(FAST, 0.0).latency_s > 1


def test_small_calls_tell_about_latency_and_large_ones_about_throughput() -> None:
    small = Measured().and_(10, 0.2, 0.2, 0.0).speed(FAST, 0.0)
    assert small.latency_s > 0.05
    assert small.bytes_per_s == pytest.approx(FAST.bytes_per_s)
    large = Measured().and_(MIB, 10.0, 10.0, 0.0).speed(FAST, 0.0)
    assert large.latency_s == pytest.approx(FAST.latency_s)
    assert large.bytes_per_s < 1e6


def test_calls_at_one_time_share_the_line() -> None:
    line = Line()
    alone = line.begin(0.0)
    assert line.end(alone, 2.0) == 2.0
    first = line.begin(10.0)
    second = line.begin(12.0)  # 2 s alone, then 4 s of two
    assert line.end(first, 16.0) == pytest.approx(2.0 + 2.0)
    assert line.end(second, 17.0) == pytest.approx(2.0 + 1.0)
    assert line.end(line.begin(100.0), 101.0) == pytest.approx(1.0)


def test_who_reads_on_is_read_ahead_of_ever_further_up_to_what_the_entry_gives_in_two_seconds() -> None:
    streams, offset, windows = Streams(), 0, []
    for _ in range(400):
        windows.append(ahead_of(streams.reads(offset, 1 << 17), FAST))
        offset += 1 << 17
    assert windows[0] == 0
    assert windows == sorted(windows)
    assert windows[-1] == MOST_AHEAD
    stream = streams.reads(offset, 1)
    assert ahead_of(stream, Speed(0.01, 4e6)) == 8e6
    assert ahead_of(stream, Speed(0.01, 1e3)) == LEAST_AHEAD


def test_who_skips_a_little_reads_on_and_who_jumps_does_not() -> None:
    streams = Streams()
    streams.reads(0, 4096)
    assert streams.reads(4096 + NEAR, 4096).run == 4096
    assert streams.reads(50 * MIB, 4096).run == 0
    assert streams.reads(3, 4096).run == 0


def test_several_read_on_in_one_file() -> None:
    streams = Streams()
    for at in range(20):
        runs = [streams.reads(start + at * 4096, 4096).run for start in (0, 10 * MIB, 20 * MIB)]
    assert runs == [19 * 4096] * 3


@pytest.mark.parametrize("bytes_per_s", [1.0, 1e4, 1e6, 1e9])
@pytest.mark.parametrize("latency_s", [1e-5, 0.01, 1.0])
@pytest.mark.parametrize("ahead", [0, LEAST_AHEAD, MIB, MOST_AHEAD])
def test_no_call_asks_for_more_than_comes_in_a_second_or_for_less_than_a_block(
    ahead: int, latency_s: float, bytes_per_s: float
) -> None:
    speed = Speed(latency_s, bytes_per_s)
    for blocks in (piece_of(ahead, speed), around(speed)):
        asked = blocks * BLOCK_BYTES
        assert BLOCK_BYTES <= asked <= MOST_PIECE
        assert asked <= max(bytes_per_s, BLOCK_BYTES)


def test_around_what_is_wanted_as_much_is_fetched_as_costs_little() -> None:
    assert around(Speed(latency_s=0.001, bytes_per_s=1e9)) * BLOCK_BYTES > MIB / 3
    assert around(Speed(latency_s=0.05, bytes_per_s=1e5)) == 1
    for speed in (replace(said(velocity / 10), known=True) for velocity in range(11)):
        assert speed.takes_s(around(speed) * BLOCK_BYTES) < 1.6 * speed.takes_s(BLOCK_BYTES) + LITTLE_S


def test_of_whom_nothing_is_known_little_is_asked_at_first_and_enough_to_know() -> None:
    for velocity in (0, 0.5, 1):
        assert LARGE_BYTES <= around(said(velocity)) * BLOCK_BYTES == FIRST_BYTES
    known = Measured().and_(LARGE_BYTES, 1.0, 1.0, 0.0)
    assert known.speed(FAST, 0.0).known
    assert not known.speed(FAST, 10 * HALF_LIFE_S).known


def test_pieces_are_as_large_as_it_takes_to_keep_the_line_busy() -> None:
    assert piece_of(MOST_AHEAD, Speed(0.0002, 1e9)) * BLOCK_BYTES == MIB  # near: small ones do
    for speed in (Speed(0.2, 12.5e6), Speed(0.02, 125e6), Speed(0.2, 60e6)):
        assert AT_ONCE * piece_of(MOST_AHEAD, speed) * BLOCK_BYTES >= speed.latency_s * speed.bytes_per_s
