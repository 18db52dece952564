"""Files to Dropbox: in one call, many at once, or in chunks; always on condition of what stands there."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from dropbox import files

from onitufs.drivers.handlers import Upload
from onitufs.model.copies import RemoteState
from onitufs.model.digests import DROPBOX, DropboxHasher, digest_of, tagged
from onitufs.model.errors import Conflict, DriverError, Gone, NameNotAllowed, ServiceError, TooLarge
from onitufs.model.source import Source

from . import names
from .client import Client
from .refusals import NotUnderstood, Offset, SessionLost, TooMuchAtOnce
from .tree import Tree, modified, rev_of, state_of, theirs

CHUNK = 16 * 1024 * 1024
"""Bytes of one call, and so of memory for each transfer; a multiple of 4 MiB, by which Dropbox hashes."""
IN_ONE_CALL = 1024 * 1024
"""Up to this size a file's bytes are sent while the account is locked for writing: one call less."""
MOST_TOGETHER = 1000
"""Files of one call, by Dropbox's documentation, which gives no limit for the header that names their sessions."""
LARGEST = 2**41 - 2**22
_PIECE = 1024 * 1024
_ROUNDS = 4


class Uploader:
    """Uploads of one entry. Raises what Client.call and the source raise."""

    def __init__(self, client: Client, tree: Tree) -> None:
        self._client = client
        self._sdk = client.sdk
        self._tree = tree
        self._hashers: dict[str, tuple[int, DropboxHasher]] = {}
        self._together = MOST_TOGETHER

    # -- whole files --------------------------------------------------------------------------------------------------

    def whole(self, upload: Upload, source: Source) -> RemoteState:
        """See handlers.Driver.upload_file."""
        _check(upload)
        if upload.size > CHUNK:
            token = self.start(upload)
            offset = 0
            while offset < upload.size:
                offset = self.chunk(token, source, offset, min(CHUNK, upload.size - offset))
            return self.end(token, upload, source)
        self._tree.directory(upload.path[:-1])
        if upload.size > IN_ONE_CALL:
            self._see(upload)
        data = _read(source, 0, upload.size)
        digest = _digest(data)
        if upload.size <= IN_ONE_CALL:

            def send(commit: files.CommitInfo) -> Any:
                return self._client.commit(
                    self._sdk.files_upload,
                    data,
                    commit.path,
                    mode=commit.mode,
                    client_modified=commit.client_modified,
                    mute=True,
                    strict_conflict=True,
                )

        else:
            session = self._client.call(self._sdk.files_upload_session_start, data, close=True).session_id

            def send(commit: files.CommitInfo) -> Any:
                return self._finish(session, upload.size, commit)

        return _verified(self._placed(upload, send), upload, digest)

    def _finish(self, session: str, size: int, commit: files.CommitInfo) -> Any:
        cursor = files.UploadSessionCursor(session_id=session, offset=size)
        return self._client.commit(self._sdk.files_upload_session_finish, b"", cursor, commit)

    def _placed(self, upload: Upload, send: Callable[[files.CommitInfo], Any]) -> Any:
        """Commit under the name that the file has, or is to have, on Dropbox."""
        at, base = self._first(upload)
        for _ in range(_ROUNDS):
            try:
                return send(_commit(upload, at, base))
            except Conflict:
                found, where = self._tree.look(upload.path)
                if found is None:
                    now: tuple[str, str | None] = where, None
                elif upload.base is not None and rev_of(found) == upload.base:
                    now = where, theirs(upload.base)
                else:
                    raise
                if now == (at, base):
                    raise
                at, base = now
        raise Conflict("it keeps changing")

    def _see(self, upload: Upload) -> None:
        """Before many bytes are sent: whether they would be taken. Raises Gone, Conflict."""
        found, _ = self._tree.look(upload.path)
        if found is not None and (upload.base is None or rev_of(found) != upload.base):
            raise Conflict("something else stands there")

    def _first(self, upload: Upload) -> tuple[str, str | None]:
        """Where to try first, which is nearly always right."""
        parent = self._tree.directory(upload.path[:-1])
        base = None if upload.base is None else theirs(upload.base)
        return f"{parent}/{names.plain(upload.path[-1])}", base

    # -- many at once -------------------------------------------------------------------------------------------------

    def batch(self, uploads: Sequence[tuple[Upload, Source]]) -> list[RemoteState | DriverError]:
        """See handlers.UploadsBatches: three calls for all of them, if Dropbox takes that many."""
        answers: list[Any] = [None] * len(uploads)
        sent: list[tuple[int, bytes, files.CommitInfo]] = []
        for number, (upload, source) in enumerate(uploads):
            try:
                _check(upload)
                sent.append((number, _read(source, 0, upload.size), _commit(upload, *self._first(upload))))
            except (OSError, DriverError) as exc:
                answers[number] = exc
        if sent:
            for number, answer in zip((number for number, _, _ in sent), self._sent(sent), strict=True):
                answers[number] = answer
        for number, data, _ in sent:
            if isinstance(answers[number], files.FileMetadata):
                try:
                    answers[number] = _verified(answers[number], uploads[number][0], _digest(data))
                except ServiceError as exc:
                    answers[number] = exc
        return answers

    def _sent(self, sent: list[tuple[int, bytes, files.CommitInfo]]) -> list[Any]:
        """What became of each. Fewer go at once from now on if all of them were too much."""
        answers: list[Any] = []
        while sent:
            part = sent[: self._together]
            try:
                answers += self._sent_together(part)
            except (TooMuchAtOnce, NotUnderstood):  # a server says 400 as well when a header is too long for it
                if len(part) == 1:
                    raise
                self._together = min(self._together, len(part) // 2)
            else:
                sent = sent[len(part) :]
        return answers

    def _sent_together(self, sent: list[tuple[int, bytes, files.CommitInfo]]) -> list[Any]:
        sessions = self._client.call(self._sdk.files_upload_session_start_batch, len(sent)).session_ids
        arguments = [
            files.UploadSessionAppendBatchArgEntry(
                cursor=files.UploadSessionCursor(session_id=session, offset=0), length=len(data), close=True
            )
            for session, (_, data, _) in zip(sessions, sent, strict=True)
        ]
        body = b"".join(data for _, data, _ in sent)
        appended = self._client.call(self._sdk.files_upload_session_append_batch, body, arguments).entries
        answers: list[Any] = [self._client.refusal(entry) for entry in appended]
        to_commit = [number for number, answer in enumerate(answers) if answer is None]
        commits = [
            files.UploadSessionFinishArg(
                cursor=files.UploadSessionCursor(session_id=sessions[number], offset=len(sent[number][1])),
                commit=sent[number][2],
            )
            for number in to_commit
        ]
        if commits:
            ended = self._client.commit(self._sdk.files_upload_session_finish_batch_v2, commits).entries
            for number, entry in zip(to_commit, ended, strict=True):
                answers[number] = self._client.refusal(entry) or entry.get_success()
        return answers

    # -- in chunks ----------------------------------------------------------------------------------------------------

    def start(self, upload: Upload) -> str:
        """See handlers.UploadsInChunks. The token is the session and the size."""
        _check(upload)
        self._see(upload)
        session = self._client.call(self._sdk.files_upload_session_start, b"").session_id
        self._hashers[session] = 0, DropboxHasher()
        return json.dumps([session, upload.size])

    def chunk(self, token: str, source: Source, offset: int, length: int) -> int:
        session, _ = _parsed(token)
        data = _read(source, offset, length)
        cursor = files.UploadSessionCursor(session_id=session, offset=offset)
        try:
            self._client.call(self._sdk.files_upload_session_append_v2, data, cursor)
        except Offset as exc:
            if exc.correct != offset + len(data):  # else its answer was lost on the way the last time
                raise Gone("Dropbox holds other bytes of this upload than were sent") from exc
        except SessionLost as exc:
            raise Gone(str(exc)) from exc
        hashed, hasher = self._hashers.pop(session, (-1, DropboxHasher()))
        if hashed == offset:
            hasher.update(data)
            self._hashers[session] = offset + len(data), hasher
        return offset + len(data)

    def end(self, token: str, upload: Upload, source: Source) -> RemoteState:
        session, size = _parsed(token)
        hashed, hasher = self._hashers.get(session, (-1, None))
        if hasher is not None and hashed == upload.size:
            digest = tagged(DROPBOX, hasher.digest())
        else:
            digest = digest_of(source.read, DROPBOX)
        self._tree.forget(upload.path[:-1])  # it may have gone since: Dropbox would make it again without a word
        try:
            placed = self._placed(upload, lambda commit: self._finish(session, size, commit))
        except (SessionLost, Offset) as exc:
            found, _ = self._tree.look(upload.path)
            if not isinstance(found, files.FileMetadata) or state_of(found).digest != digest:
                raise Gone(str(exc)) from exc
            placed = found  # it was done, and its answer lost
        self._hashers.pop(session, None)
        return _verified(placed, upload, digest)

    def restart(self, token: str, upload: Upload) -> int | None:
        """Where to go on: Dropbox tells how much it holds to who is wrong about it."""
        session, size = _parsed(token)
        if size != upload.size:
            return None
        cursor = files.UploadSessionCursor(session_id=session, offset=0)
        try:
            self._client.call(self._sdk.files_upload_session_append_v2, b"", cursor)
        except Offset as exc:
            return exc.correct if exc.correct <= size else None
        except SessionLost:
            return None
        return 0

    def abort(self, token: str) -> None:
        """Close the session, so that nothing can be added; Dropbox forgets it by itself, after a week."""
        session, _ = _parsed(token)
        self._hashers.pop(session, None)
        offset = 0
        for _ in range(2):
            cursor = files.UploadSessionCursor(session_id=session, offset=offset)
            try:
                self._client.call(self._sdk.files_upload_session_append_v2, b"", cursor, close=True)
            except Offset as exc:
                offset = exc.correct
            except SessionLost:
                return
            else:
                return


def _check(upload: Upload) -> None:
    if upload.size > LARGEST:
        raise TooLarge("the file is larger than Dropbox takes; place it elsewhere")
    if len(upload.path[-1]) > names.LONGEST:
        raise NameNotAllowed("the name is too long for Dropbox; rename the file")


def _commit(upload: Upload, at: str, base: str | None) -> files.CommitInfo:
    mode = files.WriteMode.add if base is None else files.WriteMode.update(base)
    return files.CommitInfo(
        path=at, mode=mode, client_modified=modified(upload.mtime_ns), mute=True, strict_conflict=True
    )


def _read(source: Source, offset: int, length: int) -> bytes:
    """All of a part. In pieces, as a transfer may be called off between them."""
    pieces = []
    end = offset + length
    while offset < end:
        piece = source.read(offset, min(_PIECE, end - offset))
        if not piece:
            raise ServiceError("the file is shorter than it was")
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def _digest(data: bytes) -> bytes:
    hasher = DropboxHasher()
    hasher.update(data)
    return tagged(DROPBOX, hasher.digest())


def _verified(placed: Any, upload: Upload, digest: bytes) -> RemoteState:
    state = state_of(placed)
    if (placed.size, state.digest) != (upload.size, digest):
        raise ServiceError("what arrived at Dropbox is not what was sent")
    return state


def _parsed(token: str) -> tuple[str, int]:
    session, size = json.loads(token)
    return str(session), int(size)
