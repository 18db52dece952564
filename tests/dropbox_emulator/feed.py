"""Listings in pages, and what changed since, told through cursors."""

import itertools
from dataclasses import dataclass, replace

from dropbox import files

from .clock import Clock
from .errors import BadRequest, Refused
from .settings import Settings
from .tree import FoldedPath, Node, Tree


@dataclass(frozen=True)
class Cursor:
    """How far a caller has read. Old ones stay good: each page is a new one."""

    scope: FoldedPath
    scope_id: str
    recursive: bool
    with_deleted: bool
    with_mounted: bool
    with_exports: bool
    limit: int
    listing: tuple[FoldedPath, ...]
    """What was there when the listing began."""
    listed: int
    """How many of these were told."""
    position: int
    """How much of the log was told."""
    made_at: float
    paused: bool = False
    """Whether the page before was an empty one."""


@dataclass(frozen=True)
class Page:
    entries: list[files.Metadata]
    cursor: str
    has_more: bool


class Gone(Exception):
    """The folder of the cursor is not there any more."""


class Reset(Exception):
    """The cursor is of no use any more."""


class Feed:
    """The cursors of one account."""

    def __init__(self, tree: Tree, clock: Clock, settings: Settings) -> None:
        self._tree = tree
        self._clock = clock
        self._settings = settings
        self._cursors: dict[str, Cursor] = {}
        self._numbers = itertools.count(1)
        self._void: set[str] = set()

    def void_all(self) -> None:
        """Every cursor given so far is answered with `reset` from now on."""
        self._void.update(self._cursors)

    def _keep(self, cursor: Cursor) -> str:
        name = f"AAE{next(self._numbers):06d}-{self._tree.new_id()[3:]}"
        self._cursors[name] = cursor
        return name

    def begin(self, folder: Node, arg: files.ListFolderArg) -> Cursor:
        """A listing of `folder`."""
        found = list(folder.walk())[1:] if arg.recursive else list(folder.children.values())
        if arg.recursive and folder.parent is not None:
            found.insert(0, folder)
        listing = [node.folded for node in found]
        if arg.include_deleted:
            listing += [path for path in self._tree.buried if self._in_scope(path, folder.folded, arg.recursive)]
        return Cursor(
            scope=folder.folded, scope_id=folder.id, recursive=arg.recursive, with_deleted=arg.include_deleted,
            with_mounted=arg.include_mounted_folders, with_exports=arg.include_non_downloadable_files,
            limit=min(arg.limit or self._settings.page_size, self._settings.page_size), listing=tuple(listing),
            listed=0, position=len(self._tree.log), made_at=self._clock.now(),
        )  # fmt: skip

    def at_the_end(self, cursor: Cursor) -> str:
        """A cursor that tells what happens from now on."""
        return self._keep(replace(cursor, listed=len(cursor.listing)))

    @staticmethod
    def _in_scope(path: FoldedPath, scope: FoldedPath, recursive: bool) -> bool:
        if path[: len(scope)] != scope:
            return False
        return bool(path) if recursive else len(path) == len(scope) + 1

    def knows(self, name: str) -> bool:
        return name in self._cursors

    def look_up(self, name: str) -> Cursor:
        """Raises BadRequest for what never was a cursor, Reset, Gone."""
        cursor = self._cursors.get(name)
        if cursor is None:
            raise BadRequest(f'Error in call to API function: invalid "cursor" {name!r}')
        too_old = self._clock.now() - cursor.made_at > self._settings.cursor_life_s
        if too_old or name in self._void:
            raise Reset
        folder = self._tree.at(cursor.scope)
        if folder is None or folder.is_file:
            raise Gone
        if folder.id != cursor.scope_id:
            raise Reset
        return cursor

    def _wanted(self, cursor: Cursor, told: files.Metadata) -> bool:
        if isinstance(told, files.FileMetadata) and not told.is_downloadable:
            return cursor.with_exports
        if isinstance(told, files.FolderMetadata) and told.shared_folder_id:
            return cursor.with_mounted
        return True

    def changed(self, cursor: Cursor) -> bool:
        """Whether the next page tells of anything."""
        if cursor.listed < len(cursor.listing):
            return True
        news = self._tree.log[cursor.position :]
        return any(
            self._in_scope(e.path, cursor.scope, cursor.recursive) and self._wanted(cursor, e.told) for e in news
        )

    def page(self, cursor: Cursor) -> Page:
        """The next page; once the listing is through, it tells the log."""
        now = self._clock.now()
        if self._settings.empty_pages and not cursor.paused and self.changed(cursor):
            return Page([], self._keep(replace(cursor, paused=True, made_at=now)), True)
        entries: list[files.Metadata] = []
        listed, position = cursor.listed, cursor.position
        while listed < len(cursor.listing) and len(entries) < cursor.limit:
            path = cursor.listing[listed]
            listed += 1
            node = self._tree.at(path)
            if node is not None and node.parent is not None:
                told: files.Metadata = node.metadata()
            elif cursor.with_deleted and path in self._tree.buried:
                told = self._tree.buried[path]
            else:
                continue  # it went meanwhile, and the log will tell
            if self._wanted(cursor, told):
                entries.append(told)
        if listed == len(cursor.listing):
            while position < len(self._tree.log) and len(entries) < cursor.limit:
                event = self._tree.log[position]
                position += 1
                if self._in_scope(event.path, cursor.scope, cursor.recursive) and self._wanted(cursor, event.told):
                    entries.append(event.told)
        after = replace(cursor, listed=listed, position=position, paused=False, made_at=now)
        return Page(entries, self._keep(after), self.changed(after))


def refused_continue(wrong: Exception) -> Refused:
    """The answer of list_folder/continue to Gone or Reset."""
    if isinstance(wrong, Gone):
        return Refused(files.ListFolderContinueError.path(files.LookupError.not_found))
    return Refused(files.ListFolderContinueError.reset)
