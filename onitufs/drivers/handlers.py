"""What a driver is: the handlers that a Plug finds by name, and the values they take and give.

A handler is `async def` (runs on the loop: it must not block) or a plain `def` (runs in one of the entry's threads). A
driver has no retry, no sleep, no threads and no progress of its own; the Plug has them. Every handler may raise the
errors of onitufs.model.errors below DriverError; whatever else it raises counts as a bug and suspends the entry.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from onitufs.model.copies import Found as Found  # noqa: PLC0414  drivers take it from here
from onitufs.model.copies import RemoteState
from onitufs.model.errors import DriverError
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName
from onitufs.model.source import Source

RemotePath = tuple[bytes, ...]
"""Names below the entry's root, outermost first; () is the root itself. A name is any bytes but NUL and "/"."""

PRIVATE = b".onitufs"
"""Name in an entry's root that is ours. Nothing of the user's is placed there."""
PARKED: RemotePath = (PRIVATE, b"parked")
"""Where Place.parent PARKING is: the driver makes it when it is needed."""


def shown(path: RemotePath) -> str:
    """A path for a person, whatever bytes it is made of."""
    return "/".join(part.decode("utf-8", "backslashreplace") for part in path) or "."


T = TypeVar("T")
Answer: TypeAlias = T | Awaitable[T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gear:
    """What a Plug gives to a new driver.

    `identity`: what `connect` answered the first time, None before that. `work_dir`: a private local directory of this
    entry that lasts over restarts; it may have to be made. `now_s`: wall clock, for names and marks only.
    `check_cancelled`: for long loops in plain handlers; raises what is to pass if the work is no longer wanted.
    `run`: a blocking call in one of the entry's threads, for async handlers. `hint`: what could be better, and what a
    person can do; shown while the entry is up, "" ends it. For the loop only.
    """

    entry: EntryName
    identity: str | None
    work_dir: Path
    now_s: Callable[[], float]
    check_cancelled: Callable[[], None]
    run: Callable[..., Awaitable[Any]]
    hint: Callable[[str, str], None] = lambda message, remedy: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file to be placed. `base`: rev of the object at `path` that is to be replaced; None: there must be none."""

    path: RemotePath
    size: int  # bytes
    mtime_ns: int
    mode: int  # permission bits, 0..0o777
    base: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighted:
    """What may have changed on the entry. Only a hint: everything named is looked at.

    `paths`: names to look at. `below`: directories to list again with all that is in them; () is the root. `cursor`:
    what to give to `watch` next time, so that nothing after this is missed; None where there is no such thing.
    """

    paths: tuple[RemotePath, ...] = ()
    below: tuple[RemotePath, ...] = ()
    cursor: str | None = None


class Driver(Protocol):
    """The handlers that every driver has.

    `rev` is a text of the driver's own, which changes whenever the content may have; "" for a directory means that any
    directory will do. Paths are RemotePath. A missing parent directory is Gone.
    """

    def connect(self) -> Answer[str]:
        """Come up, and answer the identity of the place: the same text as long as it is provably the same place.

        Called once, before anything but `probe`. May create what is missing if Gear.identity is None. Raises
        NeedsPerson if the place is not the one of Gear.identity, AuthNeeded, ServiceError.
        """
        ...

    def close(self) -> Answer[None]:
        """Let go of everything. May be called twice, and after a failed connect. Raises nothing."""
        ...

    def probe(self) -> Answer[None]:
        """See whether the entry could be used now, and change nothing. Without connect, on an object of its own."""
        ...

    def stat(self, path: RemotePath) -> Answer[Found | None]:
        """What stands there; None if the service says that nothing does.

        Of (): the root, always a directory. Asked to see whether the whole entry is in trouble when something failed:
        raises if it no longer is the place that `connect` found.
        """
        ...

    def make_directory(self, path: RemotePath, mode: int) -> Answer[tuple[RemoteState, bool]]:
        """Make one directory, or find it: the bool says made. Safe to repeat. Raises Conflict if it is no directory."""
        ...

    def upload_file(self, upload: Upload, source: Source) -> Answer[RemoteState]:
        """Place a whole file in one step: readers see what was there before, or all of the new.

        What is replaced goes to trash. Safe to repeat. Cancelled (what `source` raises is to pass): what was there
        stays. Raises Conflict if the object at the path is not the one of `base`; Gone if there is no directory above.
        What `base` names but is not there any more is placed anew.
        """
        ...

    def move_file(
        self, path: RemotePath, rev: str, kind: Kind, to: RemotePath, replaces: str | None
    ) -> Answer[RemoteState]:
        """Rename a file, symlink or directory. `replaces`: rev of what is at `to` and goes to trash; None: nothing is.

        Repeated after it was done: the state of what is at `to`. Raises Gone, Conflict (at either end).
        """
        ...

    def delete_file(self, path: RemotePath, rev: str) -> Answer[None]:
        """Remove a file or symlink by way of trash. Absent is success. Raises Conflict if it is another one."""
        ...

    def remove_directory(self, path: RemotePath, rev: str) -> Answer[bool]:
        """Remove an empty directory: True, also if it was gone. Not empty, or no longer that directory: False."""
        ...


class UploadsBatches(Protocol):
    """Optional: many small files for less than their sum."""

    def upload_batch(self, uploads: Sequence[tuple[Upload, Source]]) -> Answer[list[RemoteState | DriverError]]:
        """As upload_file for each; one answer for each, in order. Raises only what concerns all of them."""
        ...


class UploadsInChunks(Protocol):
    """Optional: a large file goes in chunks, and its upload goes on where it was after a broken line or a kill.

    Files larger than `chunk_bytes` are uploaded so, all others by upload_file or upload_batch. Readers see nothing of
    it under the file's name before end_upload. A token is any text but ""; it is kept on disk, and may be used in a
    later session. For one token, one call at a time. After Gone and ServiceError, restart_upload is asked whether the
    service still knows the token, and where to go on.
    """

    chunk_bytes: int
    """The most that one upload_chunk gets; known after connect."""

    def start_upload(self, upload: Upload) -> Answer[str]:
        """Begin an upload; its token. `upload.base` is of no concern yet. Raises what can be known by now: QuotaFull,
        TooLarge, NameNotAllowed, Gone if there is no directory above."""
        ...

    def upload_chunk(self, token: str, source: Source, offset: int, length: int) -> Answer[int]:
        """Send source[offset:offset+length]; the offset up to which the service now holds all bytes.

        `offset` is what the call before answered, or restart_upload. A chunk has any length up to chunk_bytes. The
        source may be read in small pieces, each byte once. Raises what the source raises: the service then may hold
        some of it. Raises Gone if the service no longer knows the token.
        """
        ...

    def end_upload(self, token: str, upload: Upload, source: Source) -> Answer[RemoteState]:
        """Give the whole file its name, in one step. As upload_file as to base, Conflict, Gone and trash.

        Path and base of `upload` may be others than start_upload had. After Conflict, or Gone for want of the directory
        above, the token is still good, and this is called again. Verifies what it can, and may read the source again
        for that: if what arrived is not what was sent, ServiceError, and the token is good for nothing. Repeated after
        it was done: the state of what is there, if the service can tell; else Gone.
        """
        ...

    def abort_upload(self, token: str) -> Answer[None]:
        """Remove what was sent. Absent is success. What has its name by now, by end_upload, stays."""
        ...

    def restart_upload(self, token: str, upload: Upload) -> Answer[int | None]:
        """The offset from which to go on: up to there the service provably holds all bytes; at most `upload.size`.
        None: the token is good for nothing.

        `upload`: of the same content as it had at start_upload, maybe with another path or base.
        """
        ...


class KnowsAccount(Protocol):
    """Optional: for services that limit the rate of an account, whichever entry it is used by.

    Entries of one driver with the same `account` are slowed down together: after ServiceError(retry_after_s) from one
    of them, no handler of any of them is called before that time.
    """

    account: str | None
    """Any text that names the account; known after connect. None: the entry is alone."""


class KnowsSpace(Protocol):
    """Optional: how much still fits on the service is shown to the user."""

    def free_space(self) -> Answer[tuple[int, int | None]]:
        """Bytes free, and bytes in all (None where the service does not say). Asked now and then. Raises ServiceError
        where it says nothing."""
        ...


class MakesSymlinks(Protocol):
    """Optional, with the ability `symlinks`."""

    def make_symlink(self, path: RemotePath, target: bytes, mtime_ns: int, base: str | None) -> Answer[RemoteState]:
        """Place a symbolic link in one step. As upload_file."""
        ...


class KeepsAttributes(Protocol):
    """Optional, with the abilities `keeps_mode` or `keeps_mtime`."""

    def set_attributes(self, path: RemotePath, rev: str, kind: Kind, mode: int, mtime_ns: int) -> Answer[RemoteState]:
        """Give an object this mode and mtime. Raises Gone, Conflict."""
        ...


class Digests(Protocol):
    """Optional, with the ability `digest`."""

    def digest(self, path: RemotePath) -> Answer[bytes]:
        """The digest of the file's content as it is on the service, reread. Raises Gone; Conflict if it is no file.

        Of the algorithm that the manifest names, `tagged` with it: see model/digests.py. A service that tells digests
        without being asked gives them in Found.state, and needs no such handler.
        """
        ...


class Lists(Protocol):
    """Optional, with the ability `list`: files that others put there can be taken into the mount."""

    def list_directory(self, path: RemotePath) -> Answer[list[tuple[bytes, Found]]]:
        """All names in a directory, but PRIVATE in the root; what is no file, directory or symlink is left out.

        RemoteState.remote_id of each is to stay the same when it is renamed or changed, if the service can tell. Raises
        Gone if there is no such directory; whatever else keeps the list from being complete is raised, too.
        """
        ...


class StatsMany(Protocol):
    """Optional: what stands at many paths, for less than their sum."""

    def stat_many(self, paths: Sequence[RemotePath]) -> Answer[list[Found | DriverError | None]]:
        """As stat of each; one answer for each, in order. Raises only what concerns all of them."""
        ...


class Watches(Protocol):
    """Optional, with the ability `watch`: changes are told, not only found by listing everything now and then."""

    async def watch(self, cursor: str | None, tell: Callable[[Sighted], Awaitable[None]]) -> None:
        """Tell what changes, until cancelled. The first call of `tell` says that whatever changes from then on is told.

        `cursor`: the last one told, None at first. What may have been missed since is told as `below`. Own changes are
        told like others. `tell` returns soon: while it does not, changes pile up. Raises DriverError.
        """
        ...


class Reads(Protocol):
    """Optional, with the ability `read`: bytes that are not on this machine are read when a program asks for them."""

    def get_chunk(self, path: RemotePath, rev: str, offset: int, length: int) -> Answer[bytes]:
        """Up to `length` bytes at `offset`; fewer only at the end. Raises Gone; Conflict if it is not that rev."""
        ...

    def get_file(self, path: RemotePath, rev: str, fd: int, tick: Callable[[int], None]) -> Answer[bytes]:
        """Write all of it into the file `fd`, from its beginning on; its digest if that came along, else b"".

        Some of it may stand there already, and is written again: programs read it meanwhile. `tick` gets the bytes
        written so far, at least every few MiB, and they are read from then on; what it raises ends the copy and passes.
        OSError: `fd` could not be written; it passes, too. Raises Gone; Conflict if it is not that rev, also if it
        changed while it was read.
        """
        ...


class ReadsMany(Protocol):
    """Optional, with the ability `read`: many small files, for less than their sum. Where it saves round trips."""

    def read_many(self, wanted: Sequence[tuple[RemotePath, str]]) -> Answer[list[bytes | DriverError]]:
        """All bytes of each file of that path and rev, in order, or what get_chunk would raise: Gone, Conflict.

        They are a few MiB in all. Raises only what concerns all of them.
        """
        ...


class Tends(Protocol):
    """Optional: chores."""

    def tend(self) -> Answer[bool]:
        """Some upkeep, a few seconds at most; called after connect and then once a day. True: there is more to do."""
        ...
