"""Bytes that placing needs and that are not here: who waits for them is asked about when there is something to ask."""

import pytest
import trio
import trio.testing

from onitufs.daemon.bringing import AGAIN_S, Bringing
from onitufs.model.state import Decision

from .far import FarAway

DATA = b"x" * 1000
BRING = Decision(bring=True)


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Waiting:
    """One file that is on an entry only, and is wanted here."""

    def __init__(self, tmp_path) -> None:
        self.far = FarAway(tmp_path, ("a",))
        self.number = self.far.adopt(DATA)
        self.plug = self.far.plugs["a"]
        self.asked = []
        self.bringing = Bringing(self.far.volume, self.far.fetcher, self.asked.append)

    @property
    def inode(self):
        return self.far.volume.peek(self.number)

    @property
    def file(self):
        return self.inode.files[0]

    def problems(self):
        return self.bringing.held_back(self.file, self.inode, BRING).problems

    async def failed(self):
        """The entry is down, and the bytes could not be had."""
        self.plug.pause()
        await trio.testing.wait_all_tasks_blocked()
        self.problems()
        await trio.testing.wait_all_tasks_blocked()
        assert self.asked == [self.file]
        assert "not placed yet" in self.problems()[0]


@pytest.fixture
async def waiting(tmp_path):
    waiting = Waiting(tmp_path)
    async with waiting.far.running(), trio.open_nursery() as nursery:
        await nursery.start(waiting.bringing.run)
        yield waiting
        nursery.cancel_scope.cancel()


async def test_what_failed_is_asked_about_again_after_a_while(waiting):
    await waiting.failed()
    assert waiting.bringing.next_try_s(waiting.file) == pytest.approx(AGAIN_S, abs=1)


async def test_while_it_is_tried_again_nobody_has_to_ask(waiting):
    """Its end asks; to ask at once and again until then would keep the daemon busy with nothing."""
    await waiting.failed()
    waiting.plug.resume()
    await waiting.plug.connected()
    waiting.far.services["a"].reads_stall = stall = trio.Event()
    await trio.sleep(AGAIN_S + 1)
    waiting.problems()
    await trio.testing.wait_all_tasks_blocked()
    assert waiting.inode.absent
    assert waiting.bringing.next_try_s(waiting.file) is None
    stall.set()
    while waiting.inode.absent:
        await trio.sleep(0.1)
    assert waiting.asked == [waiting.file] * 2


async def test_an_entry_that_comes_up_is_asked_at_once(waiting):
    await waiting.failed()
    waiting.plug.resume()
    await waiting.plug.connected()
    waiting.bringing.try_again()
    assert waiting.asked == [waiting.file] * 2
    began_s = trio.current_time()
    assert waiting.problems() == ()
    while waiting.inode.absent:
        await trio.sleep(0.1)
    assert trio.current_time() - began_s < AGAIN_S / 2


async def test_a_bug_that_one_file_brings_to_light_ends_nothing_else(waiting, monkeypatch):
    async def fails(number):
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as planted:
        planted.setattr(waiting.far.fetcher, "fetch_all", fails)
        waiting.problems()
        await trio.testing.wait_all_tasks_blocked()
        assert waiting.asked == [waiting.file]
        assert "a bug: ZeroDivisionError: planted" in waiting.problems()[0]
    await trio.sleep(AGAIN_S + 1)
    waiting.problems()
    await trio.testing.wait_all_tasks_blocked()
    assert not waiting.inode.absent
