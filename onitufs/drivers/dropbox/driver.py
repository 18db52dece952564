"""The handlers of dropbox. All but `watch` are plain: they run in the entry's threads, many at a time."""

import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import requests
from dropbox import files

from onitufs.drivers.handlers import Found, Gear, RemotePath, Sighted, Upload
from onitufs.model.copies import RemoteState
from onitufs.model.errors import (
    AnotherPlace,
    AuthNeeded,
    Conflict,
    DriverError,
    Gone,
    NameNotAllowed,
    NeedsPerson,
    ServiceError,
)
from onitufs.model.files import Kind
from onitufs.model.source import Source

from . import names
from .changes import Changes, Own
from .client import Client, new_session
from .options import DropboxOptions
from .reading import Reader
from .statting import stat, stat_many
from .tree import Tree, id_in, is_share, rev_of, state_of, theirs
from .uploading import CHUNK, Uploader

_SHARED = "shared with others, and to move or remove that is to leave it; do it on dropbox.com, or choose another name"


class Dropbox:
    """A folder of an account. Repeating any handler is safe. What is replaced or deleted stays in Dropbox's own
    history: that is the trash."""

    chunk_bytes = CHUNK

    def __init__(self, options: DropboxOptions, gear: Gear) -> None:
        self._options = options
        self._gear = gear
        self._login = f"onitufs auth login {gear.entry}"
        self._root = _normal(options.root)
        self._identity = ""
        self._client_: Client | None = None
        self.account: str | None = None

    # -- coming and going ---------------------------------------------------------------------------------------------

    def new_session(self) -> requests.Session:
        return new_session()

    def connect(self) -> str:
        client = self._client = self._new_client()
        self._identity, root_lower = self._found(client, make=self._gear.identity is None)
        self.account = self._identity.partition(" ")[0]
        own = self._own = Own()
        tree = self._tree = Tree(client, self._root)
        self._uploader = Uploader(client, tree)
        self._reader = Reader(client, tree)
        self._changes = Changes(client, tree, root_lower, own)
        return self._identity

    def close(self) -> None:
        if self._client_ is not None:
            self._client_.close()
            self._client_ = None

    def probe(self) -> None:
        client = self._new_client()
        try:
            self._found(client, make=False, may_be_made=self._gear.identity is None)
        finally:
            client.close()

    @property
    def _client(self) -> Client:
        assert self._client_ is not None
        return self._client_

    @_client.setter
    def _client(self, client: Client) -> None:
        self._client_ = client

    def _new_client(self) -> Client:
        try:
            token = self._options.token.reveal()
        except ValueError as exc:
            raise AuthNeeded(f"entry {self._gear.entry} is not logged in: {exc}; run: {self._login}") from exc
        return Client(self._options.app_key, token, self._login, self.new_session())

    def _found(self, client: Client, *, make: bool, may_be_made: bool = False) -> tuple[str, str]:
        """Identity of the place, and its path as Dropbox folds it. Raises NeedsPerson if it is another place."""
        account = client.call(client.sdk.users_get_current_account).account_id
        client.writes_to(account)
        root: Any = None
        if self._root:
            tree = Tree(client, "")
            root = tree.metadata(self._root)
            if root is None and make:
                root = client.commit(client.sdk.files_create_folder_v2, self._root).metadata
            if root is None and may_be_made:
                return account, ""
            if not isinstance(root, files.FolderMetadata):
                raise NeedsPerson(f"there is no folder {self._root} in the Dropbox; restore it, or correct the setup")
        identity = f"{account} {root.id if root is not None else '/'}"
        wanted = self._gear.identity
        if wanted is not None and wanted != identity:
            same = wanted.partition(" ")[0] == account
            what = f"the folder {self._root or '/'} is another one" if same else "this is another Dropbox account"
            raise AnotherPlace(
                f"{what} than the one that entry {self._gear.entry} used; correct the setup, or run: {self._login}"
            )
        return identity, str(root.path_lower) if root is not None else ""

    # -- looking ------------------------------------------------------------------------------------------------------

    def stat(self, path: RemotePath) -> Found | None:
        if not path:
            self._see_place()
            return Found(kind=Kind.DIRECTORY, size=0, mtime_ns=0, state=RemoteState(rev="root"), mode=0o755)
        found = stat(self._tree, path)
        if found is None:
            self._see_place_of_nothing()
        return found

    def stat_many(self, paths: Sequence[RemotePath]) -> list[Found | DriverError | None]:
        inner = stat_many(self._tree, [path for path in paths if path])
        if None in inner:
            self._see_place_of_nothing()
        answers = iter(inner)
        return [next(answers) if path else self.stat(path) for path in paths]

    def _see_place_of_nothing(self) -> None:
        """Nothing is absent because all of it is."""
        if self._root:
            self._see_place()

    def _see_place(self) -> None:
        identity, _ = self._found(self._client, make=False)
        if identity != self._identity:
            raise NeedsPerson(f"the Dropbox is not the one it was; run: {self._login}")

    def list_directory(self, path: RemotePath) -> list[tuple[bytes, Found]]:
        return self._tree.list_directory(path)

    def digest(self, path: RemotePath) -> bytes:
        found, _ = self._tree.look(path)
        if found is None:
            raise Gone("it is not there any more")
        if not isinstance(found, files.FileMetadata):
            raise Conflict("it is no file")
        return state_of(found).digest

    def get_chunk(self, path: RemotePath, rev: str, offset: int, length: int) -> bytes:
        return self._reader.chunk(path, rev, offset, length)

    def get_file(self, path: RemotePath, rev: str, fd: int, tick: Callable[[int], None]) -> bytes:
        return self._reader.whole(path, rev, fd, tick)

    async def watch(self, cursor: str | None, tell: Callable[[Sighted], Awaitable[None]]) -> None:
        await self._changes.watch(cursor, tell)

    def free_space(self) -> tuple[int, int | None]:
        return room(self._client.call(self._client.sdk.users_get_space_usage))

    # -- placing ------------------------------------------------------------------------------------------------------

    def make_directory(self, path: RemotePath, mode: int) -> tuple[RemoteState, bool]:
        _check(path[-1])
        parent = self._tree.directory(path[:-1])
        stored = f"{parent}/{names.plain(path[-1])}"
        for _ in range(3):
            try:
                made = self._client.commit(self._client.sdk.files_create_folder_v2, stored).metadata
            except Conflict:
                found, stored = self._tree.look(path)
                if isinstance(found, files.FolderMetadata):
                    self._tree.note(path, stored)
                    return state_of(found), False
                if found is not None:
                    raise
            else:
                self._tree.note(path, stored)
                return state_of(made), True
        raise Conflict("it keeps changing")

    def upload_file(self, upload: Upload, source: Source) -> RemoteState:
        return self._ours(upload, self._uploader.whole(upload, source))

    def upload_batch(self, uploads: Sequence[tuple[Upload, Source]]) -> list[RemoteState | DriverError]:
        answers = self._uploader.batch(uploads)
        for (upload, _), answer in zip(uploads, answers, strict=True):
            if isinstance(answer, RemoteState):
                self._ours(upload, answer)
        return answers

    def start_upload(self, upload: Upload) -> str:
        return self._uploader.start(upload)

    def upload_chunk(self, token: str, source: Source, offset: int, length: int) -> int:
        return self._uploader.chunk(token, source, offset, length)

    def end_upload(self, token: str, upload: Upload, source: Source) -> RemoteState:
        return self._ours(upload, self._uploader.end(token, upload, source))

    def abort_upload(self, token: str) -> None:
        self._uploader.abort(token)

    def restart_upload(self, token: str, upload: Upload) -> int | None:
        return self._uploader.restart(token, upload)

    def _ours(self, upload: Upload, state: RemoteState) -> RemoteState:
        """Note what need not be told as a change. (A move may be of what is others', out of the way: that is news.)"""
        self._own.add(upload.path, state.rev)
        return state

    # -- moving and removing ------------------------------------------------------------------------------------------

    def move_file(self, path: RemotePath, rev: str, kind: Kind, to: RemotePath, replaces: str | None) -> RemoteState:
        _check(to[-1])
        try:
            found, at = self._tree.look(path)
        except Gone:
            found, at = None, ""
        if found is None:
            return self._moved_already(rev, to)
        if not _is(found, rev, kind):
            raise Conflict("what is to be moved is another one now")
        there, where = self._tree.look(to)
        if there is not None and there.id == found.id:
            return state_of(found)
        if is_share(found):
            raise NameNotAllowed(f"it is a folder {_SHARED}")
        if there is not None:
            self._make_room(there, where, replaces)
        moved = self._client.commit(self._client.sdk.files_move_v2, at, where).metadata
        better = f"{where.rpartition('/')[0]}/{names.plain(to[-1])}"
        if where != better and names.fold(at) == names.fold(better):
            # It differed in case only, and stood in its own way: it has its new name already, but not spelled well.
            try:
                moved = self._client.commit(self._client.sdk.files_move_v2, where, better).metadata
                where = better
            except Conflict:
                pass
        self._tree.forget(path)
        self._tree.forget(to)
        if isinstance(moved, files.FolderMetadata):
            self._tree.note(to, where)
        return state_of(moved)

    def _make_room(self, there: Any, where: str, replaces: str | None) -> None:
        """Dropbox moves over nothing: what is known there goes first, and stays in its history."""
        directory = isinstance(there, files.FolderMetadata)
        if replaces is None or not _is(there, replaces, Kind.DIRECTORY if directory else Kind.FILE):
            raise Conflict("something else stands where it is to be moved to")
        if is_share(there):
            raise NameNotAllowed(f"where it is to be moved to stands a folder {_SHARED}")
        if not directory:
            self._client.commit(self._client.sdk.files_delete_v2, where, parent_rev=there.rev)
        elif not self._remove_empty(there, where):
            raise Conflict("a directory that is not empty stands where it is to be moved to")

    def _moved_already(self, rev: str, to: RemotePath) -> RemoteState:
        """The state of what was moved before, if its answer was lost. Raises Gone."""
        there, _ = self._tree.look(to)
        gone = Gone("it is not there any more")
        if there is None or not rev or there.id != id_in(rev):
            raise gone
        before = theirs(rev)
        if before is not None and before != there.rev:  # a move changes it; so may somebody have, since
            was = self._tree.metadata(f"rev:{before}")
            if was is None or was.content_hash != there.content_hash:
                raise gone
        return state_of(there)

    def delete_file(self, path: RemotePath, rev: str) -> None:
        try:
            found, at = self._tree.look(path)
            if found is None:
                return
            if not _is(found, rev, Kind.FILE):
                raise Conflict("it is another one now")
            self._client.commit(self._client.sdk.files_delete_v2, at, parent_rev=found.rev)
        except Gone:
            return

    def remove_directory(self, path: RemotePath, rev: str) -> bool:
        try:
            found, at = self._tree.look(path)
            if found is None:
                return True
            if not _is(found, rev, Kind.DIRECTORY):
                return False
            return self._remove_empty(found, at)
        except Gone:
            return True
        finally:
            self._tree.forget(path)

    def _remove_empty(self, folder: Any, stored: str) -> bool:
        """Dropbox removes a folder with all that is in it: so it is looked into first. To remove a shared one is to
        leave it to the others: that is a person's to do."""
        if is_share(folder):
            return False
        page = self._client.call(self._client.sdk.files_list_folder, stored, limit=1)
        while not page.entries and page.has_more:
            page = self._client.call(self._client.sdk.files_list_folder_continue, page.cursor)
        if any(not isinstance(entry, files.DeletedMetadata) for entry in page.entries):
            return False
        self._client.commit(self._client.sdk.files_delete_v2, stored)
        return True


def _normal(root: str) -> str:
    """A folder as Dropbox wants its path, and has it: "" for all."""
    parts = [part for part in unicodedata.normalize("NFC", root).split("/") if part]
    return "".join(f"/{part}" for part in parts)


def _check(name: bytes) -> None:
    if len(name) > names.LONGEST:
        raise NameNotAllowed("the name is too long for Dropbox; rename the file")


def _is(found: Any, rev: str, kind: Kind) -> bool:
    """Whether it is that object; any directory is, if the rev says nothing."""
    if isinstance(found, files.FolderMetadata) != (kind is Kind.DIRECTORY):
        return False
    return rev_of(found) == rev or (rev == "" and kind is Kind.DIRECTORY)


def room(usage: Any) -> tuple[int, int | None]:
    """Bytes free, and in all where Dropbox says so. Of a team, the pool's and the member's own limit: the less."""
    allocation = usage.allocation
    if allocation.is_individual():
        total = int(allocation.get_individual().allocated)
        return max(0, total - int(usage.used)), total
    if allocation.is_team():
        team = allocation.get_team()
        free, total = int(team.allocated) - int(team.used), int(team.allocated)
        own = int(team.user_within_team_space_allocated)
        if own > 0:
            left = own - int(team.user_within_team_space_used_cached)
            free, total = (left, own) if left < free else (free, total)
        return max(0, free), total
    raise ServiceError("Dropbox does not say how much room there is")
