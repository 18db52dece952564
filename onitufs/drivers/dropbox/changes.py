"""What others change in the account, as Dropbox tells it: a cursor, and a call that waits until there is something."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import trio
from dropbox import files

from onitufs.drivers.handlers import RemotePath, Sighted

from . import names
from .client import Client
from .refusals import NotUnderstood, Reset
from .tree import Tree, name_of, rev_of

LONGPOLL_S = 30
"""How long Dropbox holds a call when nothing changes; so long may one outlive the daemon's wish to end."""
RELIST_S = 86_400.0
"""Everything is listed so often: Dropbox does not tell when only the case of a name changed."""
GATHER_S = 0.5
"""While others go on changing things, they are asked for so often: many together cost less."""
MOST_ENTRIES = 20_000
"""With more changes than that, listing everything is cheaper."""
MANY = 25
"""With so many changes in one directory, listing that is cheaper, unless there are more directories in it."""
MOST_OWN = 10_000
MOST_KNOWN = 50_000

Tell = Callable[[Sighted], Awaitable[None]]


class Own:
    """Where our uploads stand, and their revs: they come back as changes, and are none. Called from many threads."""

    def __init__(self) -> None:
        self._revs: OrderedDict[RemotePath, str] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, path: RemotePath, rev: str) -> None:
        with self._lock:
            self._revs[path] = rev
            if len(self._revs) > MOST_OWN:
                self._revs.popitem(last=False)

    def forget(self, path: RemotePath) -> None:
        """It stands there no longer. Should it come back, with the rev that it had, that is news."""
        with self._lock:
            self._revs.pop(path, None)

    def forget_all(self) -> None:
        """Some may have gone without being told."""
        with self._lock:
            self._revs.clear()

    def __contains__(self, upload: tuple[RemotePath, str]) -> bool:
        path, rev = upload
        with self._lock:
            return self._revs.get(path) == rev


class Changes:
    """The feed of one session. `root_lower`: the entry's folder as Dropbox folds it, "" for all."""

    def __init__(self, client: Client, tree: Tree, root_lower: str, own: Own) -> None:
        self._client = client
        self._sdk = client.sdk
        self._tree = tree
        self._root_lower = root_lower
        self._own = own
        self._directories: dict[str, RemotePath] = {"": ()}  # by what Dropbox calls them, below root_lower
        self._threads = trio.CapacityLimiter(1)

    async def watch(self, cursor: str | None, tell: Tell) -> None:
        """See handlers.Watches. The cursor is Dropbox's."""
        listed_s = trio.current_time()
        asked_s = listed_s - GATHER_S
        sighted: Sighted | None
        try:
            sighted = await self._since(cursor)
        except NotUnderstood:  # of another app, or damaged; as it is kept, it would stop us at each start
            sighted = await self._since(None)
        while True:
            if sighted is not None:
                assert sighted.cursor is not None
                cursor = sighted.cursor
                if trio.current_time() - listed_s > RELIST_S:
                    sighted = Sighted(paths=sighted.paths, below=((),), cursor=cursor)
                if () in sighted.below:
                    listed_s = trio.current_time()
                    self._own.forget_all()
                await tell(sighted)
            assert cursor is not None
            try:
                answer = await self._in_thread(
                    self._client.call, self._sdk.files_list_folder_longpoll, cursor, LONGPOLL_S
                )
            except Reset:
                sighted = await self._since(None)
                continue
            if answer.backoff:
                await trio.sleep(answer.backoff)
            if answer.changes:
                await trio.sleep_until(asked_s + GATHER_S)
                asked_s = trio.current_time()
            sighted = await self._since(cursor) if answer.changes else None
            if sighted is None and trio.current_time() - listed_s > RELIST_S:
                sighted = Sighted(cursor=cursor)

    async def _since(self, cursor: str | None) -> Sighted:
        """What has changed since; all may have, if there is no cursor, or none that Dropbox still knows."""
        if cursor is not None:
            try:
                drained: Sighted = await self._in_thread(self._drained, cursor)
                return drained
            except Reset:
                pass
        result = await self._in_thread(
            self._client.call, self._sdk.files_list_folder_get_latest_cursor, self._tree.root, True
        )
        return Sighted(below=((),), cursor=result.cursor)

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        """A thread of its own, left behind when nobody waits any more: a call may hang for two minutes."""
        return await trio.to_thread.run_sync(call, *args, limiter=self._threads, abandon_on_cancel=True)

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _drained(self, cursor: str) -> Sighted:
        """All pages since: a folder that was moved is one thing that went and many that came, in any order."""
        entries: list[Any] = []
        everything = False
        while True:
            page = self._client.call(self._sdk.files_list_folder_continue, cursor)
            cursor = page.cursor
            entries += page.entries
            if len(entries) > MOST_ENTRIES:
                entries, everything = [], True
            if not page.has_more:
                break
        if everything:
            return Sighted(below=((),), cursor=cursor)
        paths: dict[RemotePath, None] = {}
        folders: dict[RemotePath, None] = {}
        for entry in entries:
            lower = entry.path_lower[len(self._root_lower) :]
            if not lower:
                continue
            path = (*self._directory(lower.rpartition("/")[0], entry.path_display), name_of(entry))
            if not all(map(names.is_possible, path)):
                continue
            self._learn(lower, path, entry)
            if isinstance(entry, files.FolderMetadata):  # what went from it before it got this name was told by another
                folders[path] = None
            if not (isinstance(entry, files.FileMetadata) and (path, rev_of(entry)) in self._own):
                self._own.forget(path)
                paths[path] = None
        return self._sighted(paths, folders, cursor)

    def _learn(self, lower: str, path: RemotePath, entry: Any) -> None:
        """What a change says of directories: this one is there, or whatever was there has gone."""
        if isinstance(entry, files.FolderMetadata):
            if len(self._directories) >= MOST_KNOWN:
                self._directories = {"": ()}
            self._directories[lower] = path
            return
        if self._directories.pop(lower, None) is not None:
            inside = [other for other in self._directories if other.startswith(lower + "/")]
            for other in inside:
                del self._directories[other]
        self._tree.forget(path)

    def _directory(self, lower: str, shown: str) -> RemotePath:
        """The directory that Dropbox calls `lower`, with its names as they are. `shown`: a path in it, for display."""
        known = self._directories.get(lower)
        if known is not None:
            return known
        above, _, last = lower.rpartition("/")
        outer = self._directory(above, shown)
        found = self._tree.metadata(self._root_lower + lower)
        if isinstance(found, files.FolderMetadata):
            self._directories[lower] = path = (*outer, name_of(found))
            return path
        # It has gone since, which is told, too; only its name in the path that is for display may be right.
        depth = (self._root_lower + lower).count("/")
        parts = shown.split("/")
        written = parts[depth] if len(parts) > depth and names.fold(parts[depth]) == names.fold(last) else last
        return (*outer, names.shortened(names.read(written)))

    def _sighted(self, paths: Iterable[RemotePath], folders: Iterable[RemotePath], cursor: str) -> Sighted:
        counted = Counter(path[:-1] for path in paths)
        many = [parent for parent, count in counted.items() if count >= MANY and self._inside(parent) <= count]
        below = tuple(dict.fromkeys([*folders, *many]))
        left = tuple(path for path in paths if path[:-1] not in many)
        return Sighted(paths=left, below=below, cursor=cursor)

    def _inside(self, parent: RemotePath) -> int:
        """How many directories are known below one, of what was told or of what was listed."""
        depth = len(parent)
        told = sum(1 for path in self._directories.values() if len(path) > depth and path[:depth] == parent)
        return max(told, self._tree.known_below(parent))
