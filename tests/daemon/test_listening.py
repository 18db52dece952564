"""Who listens to events: in order, without a gap, and never at the cost of those who tell."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from onitufs.daemon.conflicts import Conflicts
from onitufs.daemon.events import MOST_WAITING, RECENT, Events
from onitufs.model.conflict_names import conflict_name
from onitufs.model.copies import Copy, Place
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_FILE, ROOT_INODE, EntryName, FileId, GenerationId
from onitufs.volume.placements import Placements
from onitufs.volume.tree import Changes

from ..volume.conftest import Life

Opened = Callable[[Any], Any]


def lost(event: dict[str, Any]) -> int:
    assert (set(event), event["event"]) == ({"time", "event", "lost"}, "lost")
    return int(event["lost"])


@pytest.fixture
def events(tmp_path: Path) -> Events:
    life = Life(tmp_path / "state")
    return Events(life.volume, Placements(life.catalog))


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """Takes streams that are to be closed when the test ends."""
    streams: list[Any] = []

    def take(stream: Any) -> Any:
        streams.append(stream)
        return stream

    yield take
    for stream in streams:
        await stream.aclose()


async def test_the_last_ones_are_kept(events: Events) -> None:
    for number in range(RECENT + 5):
        events.tell("entry", entry=f"e{number}")
    assert [one["entry"] async for one in events.follow(2, go_on=False)] == [f"e{RECENT + 3}", f"e{RECENT + 4}"]
    assert len([one async for one in events.follow(10 * RECENT, go_on=False)]) == RECENT
    assert [one async for one in events.follow(0, go_on=False)] == []


async def test_who_follows_misses_nothing_between_before_and_now(events: Events, opened: Opened) -> None:
    events.tell("entry", entry="before")
    stream = opened(events.follow(10, go_on=True))
    assert (await anext(stream))["entry"] == "before"
    events.tell("entry", entry="meanwhile")
    assert (await anext(stream))["entry"] == "meanwhile"
    async with trio.open_nursery() as nursery:
        heard: list[str] = []

        async def listen() -> None:
            heard.append((await anext(stream))["entry"])

        nursery.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == []
        events.tell("entry", entry="now")
    assert heard == ["now"]


async def test_a_slow_one_loses_events_and_is_told_where_and_how_many(events: Events, opened: Opened) -> None:
    slow, quick = opened(events.follow(0, go_on=True)), opened(events.follow(0, go_on=True))
    events.tell("entry", entry="nobody listens yet")
    heard: list[str] = []

    async def listen(stream: Any, into: list[str]) -> None:
        into.append((await anext(stream))["entry"])

    first: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, slow, first)
        nursery.start_soon(listen, quick, heard)
        await trio.testing.wait_all_tasks_blocked()
        events.tell("entry", entry="0")
    assert first == heard == ["0"]
    for number in range(1, MOST_WAITING + 8):
        events.tell("entry", entry=str(number))
        heard.append((await anext(quick))["entry"])
    assert heard == [str(number) for number in range(MOST_WAITING + 8)]
    got = [await anext(slow)]
    events.tell("entry", entry="after")
    while len(got) < MOST_WAITING + 2:
        got.append(await anext(slow))
    assert [one["entry"] for one in got[:MOST_WAITING]] == [str(number) for number in range(1, MOST_WAITING + 1)]
    assert lost(got[MOST_WAITING]) == 7
    assert got[MOST_WAITING + 1]["entry"] == "after"


async def test_what_was_lost_last_is_told_even_if_nothing_follows(events: Events, opened: Opened) -> None:
    stream = opened(events.follow(1, go_on=True))
    events.tell("entry", entry="first")
    await anext(stream)
    for number in range(MOST_WAITING + 1):
        events.tell("entry", entry=str(number))
    got = [await anext(stream) for _ in range(MOST_WAITING + 1)]
    assert lost(got[-1]) == 1


async def test_what_arrives_names_its_entry_and_its_conflict(tmp_path: Path) -> None:
    life = Life(tmp_path / "state")
    placements = Placements(life.catalog)
    events = Events(life.volume, placements)
    original = life.make(b"a.txt", b"ours")

    def also(file: FileId, generation: GenerationId) -> Changes:
        changes: Changes = {}
        place = Place(ROOT_FILE, b"a.txt")
        copy = Copy(
            file=file, entry=EntryName("nas"), kind=Kind.FILE, place=place, generation=generation, size=1, mtime_ns=0,
            mode=0o644, rev="r", found=True,
        )  # fmt: skip
        older = replace(copy, entry=EntryName("disk"), generation=GenerationId(1))
        placements.write(changes, put=[older, copy])
        Conflicts(life.volume).note(changes, file, EntryName("nas"), original)
        return changes

    name = conflict_name(b"a.txt", "nas", date(2001, 9, 9))
    found = life.volume.adopt(ROOT_INODE, name, Kind.FILE, size=1, mtime_ns=0, mode=0o644, also=also)
    events.changed(found, "found")
    told = [{key: one[key] for key in one if key != "time"} async for one in events.follow(10, go_on=False)]
    assert told == [
        {"event": "arrived", "path": f"/{name.decode()}", "entry": "nas"},
        {"event": "conflict", "path": "/a.txt", "entry": "nas", "kept": name.decode()},
    ]
