"""Where things stand on Dropbox: paths of the mount to paths of the service, and what is there.

Folders that were seen are remembered, so that a path costs no call for each of them; whoever learns that one has gone
or moved says so. That one has gone unseen does no harm: Dropbox makes missing folders again, and the edit lives.
"""

import contextlib
import logging
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dropbox import files

from onitufs.drivers.handlers import PARKED, PRIVATE, Found, RemotePath
from onitufs.model.copies import RemoteState
from onitufs.model.digests import DROPBOX, tagged
from onitufs.model.errors import Conflict, Gone, NameNotAllowed
from onitufs.model.files import Kind

from . import names
from .client import Client

MOST_KNOWN = 50_000
PAGE = 2000
_REV = re.compile(r"[0-9a-f]{9,}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """The metadata of what is in a folder."""

    entries: list[Any]
    complete: bool


class Tree:
    """One entry's part of an account. `root`: its path on Dropbox, "" for all. Raises what Client.call raises."""

    def __init__(self, client: Client, root: str) -> None:
        self._client = client
        self.root = root
        self._known: dict[RemotePath, str] = {}
        self._lock = threading.Lock()

    # -- folders ------------------------------------------------------------------------------------------------------

    def directory(self, path: RemotePath) -> str:
        """The path on Dropbox of a directory. Raises Gone if there is none."""
        if not path:
            return self.root
        with self._lock:
            known = self._known.get(path)
        if known is not None:
            return known
        if path in ((PRIVATE,), PARKED):
            return self._make_private(path)
        found, stored = self.look(path)
        if not isinstance(found, files.FolderMetadata):
            raise Gone("there is no such directory")
        return self.note(path, stored)

    def note(self, path: RemotePath, stored: str) -> str:
        """A directory is known to stand there."""
        with self._lock:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[path] = stored
        return stored

    def forget(self, path: RemotePath) -> None:
        """Whatever was a directory there may be gone, with all below."""
        with self._lock:
            for known in [known for known in self._known if path and known[: len(path)] == path]:
                del self._known[known]

    def known_below(self, path: RemotePath) -> int:
        """How many directories below one are remembered."""
        depth = len(path)
        with self._lock:
            return sum(1 for known in self._known if len(known) > depth and known[:depth] == path)

    def _make_private(self, path: RemotePath) -> str:
        stored = f"{self.directory(path[:-1])}/{path[-1].decode()}"
        with contextlib.suppress(Conflict):  # it is there
            self._client.commit(self._client.sdk.files_create_folder_v2, stored)
        return self.note(path, stored)

    # -- what stands there --------------------------------------------------------------------------------------------

    def look(self, path: RemotePath) -> tuple[Any, str]:
        """The metadata of what has this name, None if nothing has; and its path on Dropbox, or the one to give it."""
        name = path[-1]
        parent = self.directory(path[:-1])
        free = ""
        for spelling in names.spellings(name):
            found = self.metadata(f"{parent}/{spelling}")
            if found is None:
                free = free or f"{parent}/{spelling}"
            elif name_of(found) == name:
                return found, f"{parent}/{found.name}"
        if names.may_be_shortened(name):
            for found in self.listed(parent).entries:
                if name_of(found) == name:
                    return found, f"{parent}/{found.name}"
        if not free:
            raise NameNotAllowed("Dropbox takes it for the name of another file beside it; rename one of them")
        return None, free

    def metadata(self, stored: str) -> Any:
        """What stands at a path of Dropbox, None if nothing does."""
        try:
            return self._client.call(self._client.sdk.files_get_metadata, stored)
        except Gone:
            return None

    def listed(self, stored: str, most: int | None = None) -> Listed:
        """What is in a folder; if that is more than `most`, only some of it. Raises Gone if it is none."""
        sdk = self._client.sdk
        page = self._client.call(sdk.files_list_folder, stored, limit=PAGE if most is None else min(most, PAGE))
        found: dict[str, Any] = {}
        told = 0
        while True:
            for entry in page.entries:  # the same may come twice: the last one holds
                found.pop(entry.path_lower, None)
                if not isinstance(entry, files.DeletedMetadata):
                    found[entry.path_lower] = entry
            told += len(page.entries)
            if not page.has_more or (most is not None and told >= most):
                return Listed(list(found.values()), complete=not page.has_more)
            page = self._client.call(sdk.files_list_folder_continue, page.cursor)

    def list_directory(self, path: RemotePath) -> list[tuple[bytes, Found]]:
        """See handlers.Lists."""
        stored = self.directory(path)
        try:
            listed = self.listed(stored).entries
        except Gone:
            self.forget(path)
            raise
        here: dict[bytes, Any] = {}
        for entry in listed:
            if is_left_out(entry) or (not path and names.fold(entry.name) == PRIVATE.decode()):
                continue
            other = here.setdefault(name_of(entry), entry)
            if other is not entry:  # of two of one name, the one that a look at that name finds is the one
                first, second = sorted((other, entry), key=plainness)
                here[name_of(entry)] = first
                log.warning("a second object of one name is left out", extra={"path": f"{stored}/{second.name}"})
        for name, entry in here.items():
            if isinstance(entry, files.FolderMetadata):
                self.note((*path, name), f"{stored}/{entry.name}")
        return [(name, found_of(entry)) for name, entry in here.items()]


# -- metadata ---------------------------------------------------------------------------------------------------------


def name_of(metadata: Any) -> bytes:
    """The name in the mount."""
    return names.shortened(names.read(metadata.name))


def plainness(metadata: Any) -> int:
    """The turn in which a look at its name in the mount comes to an object."""
    spelled = names.spellings(name_of(metadata))
    return spelled.index(metadata.name) if metadata.name in spelled else len(spelled)


def is_left_out(metadata: Any) -> bool:
    """Whether it is neither a file nor a directory to us: a cloud document, which has no bytes, a symlink, or what has
    no name that we could use."""
    if not names.is_possible(name_of(metadata)):
        return True
    if isinstance(metadata, files.FolderMetadata):
        return False
    return not metadata.is_downloadable or metadata.symlink_info is not None


def is_share(metadata: Any) -> bool:
    """Whether it is the folder in which others and the user share what is in it, and not merely one inside."""
    return isinstance(metadata, files.FolderMetadata) and bool(
        metadata.shared_folder_id or (metadata.sharing_info and metadata.sharing_info.shared_folder_id)
    )


def rev_of(metadata: Any) -> str:
    """Our rev of a file: Dropbox's and the id, so that another file with another history is another one. Of a folder:
    its id."""
    if isinstance(metadata, files.FolderMetadata):
        return str(metadata.id)
    return f"{metadata.rev} {metadata.id}"


def id_in(rev: str) -> str:
    """The id in one of our revs."""
    return rev.rpartition(" ")[2]


def theirs(rev: str) -> str | None:
    """Dropbox's rev in one of ours; None if it is no file's."""
    own = rev.partition(" ")[0]
    return own if _REV.fullmatch(own) else None


def state_of(metadata: Any) -> RemoteState:
    digest = b""
    if isinstance(metadata, files.FileMetadata) and metadata.content_hash:
        digest = tagged(DROPBOX, bytes.fromhex(metadata.content_hash))
    return RemoteState(rev=rev_of(metadata), remote_id=str(metadata.id), digest=digest)


def found_of(metadata: Any) -> Found:
    if isinstance(metadata, files.FolderMetadata):
        return Found(kind=Kind.DIRECTORY, size=0, mtime_ns=0, state=state_of(metadata), mode=0o755)
    mtime_s = int(metadata.client_modified.replace(tzinfo=UTC).timestamp())
    return Found(kind=Kind.FILE, size=metadata.size, mtime_ns=mtime_s * 1_000_000_000, state=state_of(metadata))


def modified(mtime_ns: int) -> datetime | None:
    """A time as Dropbox takes it, in whole seconds of UTC without saying so; None if it knows no such year: it wants
    four digits, and a year before 1000 is sent with fewer."""
    try:
        time = datetime.fromtimestamp(mtime_ns // 1_000_000_000, UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return None
    return time if time.year >= 1000 else None
