"""Rereads what the entries hold and compares it with what the Copies say."""

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import trio

from onitufs.drivers.plug import Plug
from onitufs.model.copies import Copy
from onitufs.model.digests import algorithm_of, comparable, digest_of
from onitufs.model.errors import DriverError, Gone, Stale
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName, GenerationId

from .placing import Placing
from .service import Answer

log = logging.getLogger(__name__)

TELL_EVERY = 100
_AGAIN = "placed again from a good copy"


async def scrub(placing: Placing, plugs: Mapping[EntryName, Plug]) -> AsyncIterator[Answer]:
    """Yields as service.Service.scrub says, with `path` as bytes. A difference makes the file unsettled."""
    checked = wrong = 0
    of = sum(1 for entry in plugs for _ in _copies(placing, entry))
    for entry, plug in plugs.items():
        for copy in _copies(placing, entry):
            problem, remedy = await _problem(placing, plug, copy)
            checked += 1
            if problem:
                wrong += 1
                path = placing.volume.path(copy.file) or copy.place.name
                log.warning(
                    "scrub", extra={"entry": entry, "path": path.decode(errors="backslashreplace"), "why": problem}
                )
                yield {"entry": entry, "path": path, "problem": problem, "remedy": remedy}
            if checked % TELL_EVERY == 0:
                yield {"checked": checked, "of": of}
    yield {"done": True, "checked": checked, "wrong": wrong}


def _copies(placing: Placing, entry: EntryName) -> list[Copy]:
    """Every file's Copy on the entry."""
    found: list[Copy] = []
    after = b""
    while rows := placing.placements.on(entry, after):
        after = rows[-1][0]
        for _, file in rows:
            copy = placing.placements.get(file, entry)
            if copy is not None and copy.kind is Kind.FILE:
                found.append(copy)
    return found


async def _problem(placing: Placing, plug: Plug, copy: Copy) -> tuple[str, str]:
    """What is wrong with a Copy, and what is done about it; ("", "") if nothing is."""
    try:
        found = await plug.digest(placing.placements.path(copy.entry, copy.place), copy.kind, by_reading=True)
    except Gone:  # a directory above is being moved
        return "", ""
    except DriverError as error:
        return f"it cannot be read: {error}", "see the entry"
    if placing.placements.get(copy.file, copy.entry) != copy:
        return "", ""  # it was placed, moved or removed meanwhile
    if plug.can("list") and (found is None or found.state.rev != copy.rev):
        placing.suspect(copy)
        return ("it was changed there" if found else "it is not there any more"), "taken over into the mount"
    if found is None:
        placing.lost(copy)
        return "it is not there any more", _AGAIN
    there = found.state.digest
    expected = copy.digest if comparable(copy.digest, there) else await _local_digest(placing, copy, there)
    if placing.placements.get(copy.file, copy.entry) != copy or not expected or there in (expected, b""):
        return "", ""
    placing.differs(replace(copy, generation=GenerationId(0)))
    return "its content is not what was placed", _AGAIN


async def _local_digest(placing: Placing, copy: Copy, there: bytes) -> bytes:
    """The digest, of the same algorithm as `there`, of the generation that the Copy should hold; b"" if that is not
    here as such any more, or `there` says nothing."""
    if not there:
        return b""
    try:
        source = placing.volume.source(copy.file, copy.generation)
    except Stale:
        return b""

    try:
        return await trio.to_thread.run_sync(digest_of, source.read, algorithm_of(there))
    except Stale:
        return b""
    finally:
        source.close()
