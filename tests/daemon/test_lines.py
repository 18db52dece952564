"""Reading on over lines of every kind comes to what the line gives. Time is simulated."""

from pathlib import Path

import pytest
import trio
import trio.testing

from .far import PIECE, FarAway, Line

MIB = 1 << 20
DATA = b"".join(bytes([n % 251]) * PIECE for n in range(16 * 64))


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def read_on(far: FarAway, number: int, size: int) -> None:
    at = 0
    while at < size:
        piece = await far.fetcher.read(number, at, 1 << 17)
        piece = DATA[at : min(at + (1 << 17), size)] if piece is None else piece
        assert piece == DATA[at : at + (1 << 17)][: size - at]
        at += len(piece)


@pytest.mark.parametrize(
    ("bytes_per_s", "latency_s", "part"),
    [
        (20e3, 0.2, 0.9),  # a line so slow that a block takes seconds is not a silent one
        (1e6, 0.001, 0.95),
        (1e6, 0.2, 0.9),
        (12.5e6, 0.02, 0.9),
        (12.5e6, 0.2, 0.8),
        (125e6, 0.001, 0.9),
        (125e6, 0.02, 0.8),
        (125e6, 0.2, 0.2),  # 64 MiB come in half a second, of which finding out how fast the line is takes most
    ],
)
async def test_reading_on_comes_to_what_the_line_gives(
    tmp_path: Path, bytes_per_s: float, latency_s: float, part: float
) -> None:
    far = FarAway(tmp_path, ("a",))
    size = min(len(DATA), max(2 * MIB, int(bytes_per_s * 16)))
    number = far.adopt(DATA[:size])
    async with far.running():
        far.services["a"].hook = Line(latency_s, bytes_per_s).hook
        await far.fetcher.verify(number)  # as open() does
        began_s = trio.current_time()
        await read_on(far, number, size)
        took_s = trio.current_time() - began_s
        assert (latency_s + size / bytes_per_s) / took_s > part


async def test_a_whole_file_comes_over_a_slow_line_from_a_driver_that_seldom_tells(tmp_path: Path) -> None:
    far = FarAway(tmp_path, ("a",))
    number = far.adopt(DATA[: 2 * MIB])
    async with far.running():
        far.services["a"].tells_every = 4 * MIB
        far.services["a"].hook = Line(0.05, 20e3).hook
        await far.fetcher.fetch_all(number)
        assert not far.volume.peek(number).absent


async def test_the_first_bytes_over_a_slow_line_are_not_those_of_a_large_block(tmp_path: Path) -> None:
    far = FarAway(tmp_path, ("a",))
    number = far.adopt(DATA)
    async with far.running():
        far.services["a"].hook = Line(0.05, 100e3).hook
        began_s = trio.current_time()
        await far.fetcher.read(number, 5 * MIB, 4096)
        assert trio.current_time() - began_s < 2


async def test_the_faster_of_two_lines_gives_nearly_all(tmp_path: Path) -> None:
    """Nothing was said of them, so each is tried."""
    far = FarAway(tmp_path, ("a", "b"))
    number = far.adopt(DATA)
    async with far.running():
        far.services["a"].hook = Line(0.1, 500e3).hook
        far.services["b"].hook = Line(0.01, 20e6).hook
        await read_on(far, number, len(DATA))
        assert far.blocks_given("b") > 0.9 * len(DATA) / PIECE
