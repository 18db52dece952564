"""Bytes from Dropbox, of one rev or not at all."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

from dropbox import files

from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.writing import write_all
from onitufs.model.digests import DROPBOX, DropboxHasher, tagged
from onitufs.model.errors import Conflict, Gone, ServiceError

from . import names
from .client import Client
from .tree import Tree, rev_of

_PIECE = 256 * 1024
_TICK = 1024 * 1024
_AGAIN = 4 * 1024 * 1024
"""A file larger than this may have been changed while it came."""


class Reader:
    """Reads of one entry. Raises what Client.call raises."""

    def __init__(self, client: Client, tree: Tree) -> None:
        self._client = client
        self._tree = tree

    def chunk(self, path: RemotePath, rev: str, offset: int, length: int) -> bytes:
        """See handlers.Reads.get_chunk."""
        if length == 0:
            self._see(path, rev)
            return b""
        wanted = {"Range": f"bytes={offset}-{offset + length - 1}"}
        try:
            metadata, response = self._download(path, rev, wanted)
        except ServiceError:
            if offset < self._see(path, rev).size:
                raise
            return b""  # Dropbox refuses to give what is behind the end
        with closing(response):
            expected = min(length, metadata.size - offset)
            if response.status_code != 206 or not _begins(response, offset):
                raise ServiceError("Dropbox gives another part of the file than was asked for")
            data = self._body(response)
        if len(data) != expected:
            raise ServiceError("Dropbox's answer was cut off")
        return data

    def whole(self, path: RemotePath, rev: str, fd: int, tick: Callable[[int], None]) -> bytes:
        """See handlers.Reads.get_file."""
        metadata, response = self._download(path, rev, {})
        hasher = DropboxHasher()
        written = told = 0
        with closing(response):
            pieces = response.iter_content(_PIECE)
            while piece := self._next(pieces):
                hasher.update(piece)
                written = write_all(fd, piece, written)
                if written - told >= _TICK:
                    told = written
                    tick(written)
        if written != metadata.size or hasher.digest().hex() != metadata.content_hash:
            raise ServiceError("what came from Dropbox is not what it has")
        if written != told:
            tick(written)
        if written > _AGAIN:
            self._see(path, rev)
        return tagged(DROPBOX, hasher.digest())

    def _download(self, path: RemotePath, rev: str, headers: dict[str, str]) -> tuple[Any, Any]:
        """The beginning of an answer, of that rev: nearly always by the first name that is tried."""
        stored = f"{self._tree.directory(path[:-1])}/{names.plain(path[-1])}"
        got = self._try(stored, rev, headers)
        if got is None:
            self._see(path, rev)
            got = self._try(self._tree.look(path)[1], rev, headers)
        if got is None:
            raise Conflict("it changed just now")
        return got

    def _try(self, stored: str, rev: str, headers: dict[str, str]) -> tuple[Any, Any] | None:
        """None: it is not there, or another one."""
        try:
            metadata, response = self._client.call(self._client.sdk.files_download, stored, extra_headers=headers)
        except (Gone, Conflict):
            return None
        if rev_of(metadata) == rev:
            return metadata, response
        response.close()
        return None

    def _see(self, path: RemotePath, rev: str) -> Any:
        """The metadata, if it is the file of that rev. Raises Gone, Conflict."""
        found, _ = self._tree.look(path)
        if found is None:
            raise Gone("it is not there any more")
        if not isinstance(found, files.FileMetadata) or rev_of(found) != rev:
            raise Conflict("it is another one now")
        return found

    def _body(self, response: Any) -> bytes:
        try:
            return bytes(response.content)
        except Exception as exc:  # the library's
            raise self._client.meaning(exc) from exc

    def _next(self, pieces: Any) -> bytes:
        try:
            return bytes(next(pieces, b""))
        except Exception as exc:  # the library's
            raise self._client.meaning(exc) from exc


def _begins(response: Any, offset: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {offset}-")
