"""Several programs read a file of two entries that break, freeze, hang, rot and are edited at any moment. Time is
simulated.

Whatever happens, bytes that somebody knew the digest of are kept only if they are right, and what was kept stays so.
"""

import os
from random import Random

import pytest
import trio
import trio.testing
from blake3 import blake3

from onitufs.content.partial import BLOCK_BYTES
from onitufs.daemon import pouring
from onitufs.model.errors import OnituError

from .far import FarAway, Line

AT_A_TIME = 20
BLOCKS = 48
DATA = os.urandom(BLOCKS * BLOCK_BYTES) + b"end"
TROUBLE = (OnituError, OSError, trio.TooSlowError)


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture(autouse=True)
def small_is_much(monkeypatch):
    monkeypatch.setattr(pouring, "LEAST_BYTES", 16 * BLOCK_BYTES)
    monkeypatch.setattr(pouring, "AFTER_BYTES", 2 * BLOCK_BYTES)
    monkeypatch.setattr(pouring, "WINDOW", 8)
    monkeypatch.setattr(pouring, "MOST_BEFORE", 8 * BLOCK_BYTES)


class History:
    def __init__(self, tmp_path, seed):
        self.dice = Random(seed)
        self.far = FarAway(tmp_path / str(seed), ("a", "b"))
        self.far.velocities.update(a=0.9, b=0.5)
        self.is_known = self.dice.random() < 0.7
        self.number = self.far.adopt(DATA, digest=blake3(DATA).digest() if self.is_known else b"")
        self.released = trio.Event()
        self.lies = False  # an entry gives other bytes under the same rev
        what = ["", "", "breaks", "freezes", "edited"] + ["hangs", "rots"] * self.is_known
        self.plan(self.far.services["a"], self.dice.choice(what))
        self.plan(self.far.services["b"], self.dice.choice([each for each in what if each != "rots"]))

    def plan(self, service, trouble):
        """Have it come to one entry at some read."""
        line = Line(self.dice.choice([0.0005, 0.002]), self.dice.choice([125e6, 30e6])).hook
        service.tells_every = self.dice.choice([1, 4 * BLOCK_BYTES, 16 * BLOCK_BYTES])
        at, reads = self.dice.randrange(1, 70), 0

        async def hook(what, path):
            nonlocal reads
            await line(what, path)
            reads += what == "read"
            if what == "read" and reads == at:
                await self.strike(service, trouble)

        service.hook = hook

    async def strike(self, service, trouble):
        node = service.nodes[b"file",]
        if trouble == "breaks":
            service.read_fails_after = 0
        elif trouble == "freezes":
            service.reads_stall = self.released
        elif trouble == "edited":
            service.edit((b"file",), b"other")
        elif trouble == "hangs":  # as a thread in a call to the system does, and then it writes something
            with trio.CancelScope(shield=True):
                await self.released.wait()
            self.lies, node.data = True, bytes(len(DATA))
        elif trouble == "rots":
            spot = self.dice.randrange(len(DATA))
            self.lies, node.data = True, DATA[:spot] + bytes([DATA[spot] ^ 1]) + DATA[spot + 1 :]

    async def reader(self, dice):
        at = 0 if dice.random() < 0.7 else dice.randrange(len(DATA))
        while at < len(DATA):
            try:
                length = dice.choice([4096, BLOCK_BYTES, 2 * BLOCK_BYTES, 4 * BLOCK_BYTES])
                piece = await self.far.fetcher.read(self.number, at, length)
            except TROUBLE:
                await trio.sleep(30 * dice.random())
                if dice.random() < 0.3:
                    return
                continue
            if piece is None:
                self.check()
                return
            assert self.lies or piece == DATA[at : at + length]
            at = at + len(piece) if dice.random() < 0.95 else dice.randrange(len(DATA))
            if dice.random() < 0.1:
                await trio.sleep(0.05 * dice.random())

    async def needs_all(self, dice):
        await trio.sleep(0.3 * dice.random())
        try:
            await self.far.fetcher.fetch_all(self.number)
        except TROUBLE:
            return
        self.check()

    async def release(self):
        await trio.sleep(self.dice.choice([5, 15, 40, 100]))
        self.released.set()

    def check(self):
        if not self.far.volume.peek(self.number).absent:
            assert self.far.life.read(b"file") == DATA

    async def run(self):
        async with self.far.running():
            try:
                with trio.move_on_after(300):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self.release)
                        for _ in range(self.dice.choice([1, 1, 2, 3])):
                            nursery.start_soon(self.reader, Random(self.dice.random()))
                        if self.dice.random() < 0.4:
                            nursery.start_soon(self.needs_all, Random(self.dice.random()))
            finally:
                self.released.set()
            await trio.sleep(100)
            self.check()


@pytest.mark.parametrize("first", [0, 20, 320])  # one from 320 on wrote into a file that was being compared
async def test_what_is_kept_is_right(tmp_path, first):
    poured = 0
    for seed in range(first, first + AT_A_TIME):
        history = History(tmp_path, seed)
        try:
            await history.run()
        except BaseException as error:
            error.add_note(f"in history {seed}")
            raise
        poured += history.far.calls("a", "get_file")
    assert poured
