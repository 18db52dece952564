"""Upload sessions: bytes that wait to become a file."""

import itertools
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from dropbox import files

from .clock import Clock
from .content import BLOCK, Content, Contents
from .errors import Refused
from .settings import Settings

Lookup = files.UploadSessionLookupError


class Failed(Exception):
    """Why a session does not take what is sent: the tag, which the errors of all routes share, and its value."""

    def __init__(self, tag: str, correct_offset: int | None = None) -> None:
        super().__init__(tag)
        value = None if correct_offset is None else files.UploadSessionOffsetError(correct_offset=correct_offset)
        self.tag, self.value = tag, value

    def as_error(self, union: type) -> object:
        return union(self.tag, self.value)


@dataclass(eq=False)
class Session:
    """`length`: bytes of a sequential session. `ranges`: what a concurrent one holds, as (start, end)."""

    id: str
    concurrent: bool
    made_at: float
    spill: Path
    small: bytearray | None = field(default_factory=bytearray)
    length: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)
    closed: bool = False

    def write(self, offset: int, data: bytes) -> None:
        if self.small is not None and (self.concurrent or len(self.small) + len(data) > BLOCK):
            self.spill.write_bytes(self.small)
            self.small = None
        if self.small is not None:
            self.small += data
        else:
            with self.spill.open("r+b") as file:
                file.seek(offset)
                file.write(data)
        if self.concurrent and data:
            self.ranges.append((offset, offset + len(data)))
        self.length = max(self.length, offset + len(data))

    def has_holes(self) -> bool:
        end = 0
        for start, stop in sorted(self.ranges):
            if start > end:
                return True
            end = max(end, stop)
        return False


class Sessions:
    """The sessions of one account."""

    def __init__(self, directory: Path, contents: Contents, clock: Clock, settings: Settings) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._contents = contents
        self._clock = clock
        self._settings = settings
        self._by_id: dict[str, Session] = {}
        self._numbers = itertools.count(1)

    def start(self, *, concurrent: bool = False) -> Session:
        number = next(self._numbers)
        name = f"pid_upload_session:{secrets.token_urlsafe(48)}"
        session = Session(name, concurrent, self._clock.now(), self._directory / str(number))
        self._by_id[name] = session
        return session

    def open(self) -> dict[str, int]:
        """The sessions that wait, and how much they hold."""
        return {session.id: session.length for session in self._by_id.values()}

    def _find(self, name: str) -> Session:
        session = self._by_id.get(name)
        if session is None or self._clock.now() - session.made_at > self._settings.session_life_s:
            raise Failed("not_found")
        return session

    def append(self, name: str, offset: int, data: bytes, *, close: bool) -> None:
        """Raises Failed."""
        session = self._find(name)
        if session.closed:
            raise Failed("closed")
        if offset + len(data) > self._settings.file_limit:
            raise Failed("too_large")
        if session.concurrent:
            if offset % BLOCK:
                raise Failed("concurrent_session_invalid_offset")
            if len(data) % BLOCK and not close:
                raise Failed("concurrent_session_invalid_data_size")
        elif offset != session.length:
            raise Failed("incorrect_offset", session.length)
        session.write(offset, data)
        session.closed = close

    def finish(self, name: str, offset: int, data: bytes, *, of_batch: bool) -> Content:
        """All of a session. It stays until it is `drop`ped, and holds `data` from now on. Raises Refused."""
        error = files.UploadSessionFinishError
        try:
            session = self._find(name)
            if session.concurrent:
                if data:
                    raise Refused(error.concurrent_session_data_not_allowed)
                if not session.closed:
                    raise Refused(error.concurrent_session_not_closed)
                if session.has_holes():
                    raise Refused(error.concurrent_session_missing_data)
            if of_batch and not session.closed:
                raise Failed("not_closed")
            if session.closed and data:
                raise Failed("closed")
            if offset != session.length:
                raise Failed("incorrect_offset", session.length)
            if offset + len(data) > self._settings.file_limit:
                raise Failed("too_large")
        except Failed as failed:
            raise Refused(error.lookup_failed(failed.as_error(Lookup))) from None
        if data:
            session.write(offset, data)
        session.closed = True
        return (
            self._contents.adopt(session.spill) if session.small is None else self._contents.add(bytes(session.small))
        )

    def drop(self, name: str) -> None:
        """The session was committed: there is no such session any more."""
        session = self._by_id.pop(name)
        if session.small is None:
            session.spill.unlink()
