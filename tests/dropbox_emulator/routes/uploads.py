"""Files: in one call, and by sessions."""

from typing import Any

from dropbox import files

from ..content import content_hash
from ..errors import Refused, WriteRefused
from ..sessions import Failed
from .call import Call, Handler


def _check_body(call: Call, too_large: Any, mismatch: Any) -> None:
    if len(call.body) > call.service.settings.request_limit:
        raise Refused(too_large)
    if call.arg.content_hash is not None and call.arg.content_hash != content_hash(call.body):
        raise Refused(mismatch)


async def upload(call: Call) -> Any:
    error, arg = files.UploadError, call.arg
    _check_body(call, error.payload_too_large, error.content_hash_mismatch)

    def kept(reason: files.WriteError) -> files.UploadError:
        """The bytes need not be sent again: they can be committed elsewhere."""
        session = call.account.sessions.start()
        session.write(0, call.body)
        return error.path(files.UploadWriteFailed(reason=reason, upload_session_id=session.id))

    content = call.service.contents.add(call.body)
    async with call.namespace(kept(files.WriteError.too_many_write_operations)):
        try:
            node = call.account.writer.put_file(
                call.path(arg.path), content, mode=arg.mode, autorename=arg.autorename, strict=arg.strict_conflict,
                client_modified=arg.client_modified,
            )  # fmt: skip
        except WriteRefused as refused:
            raise Refused(kept(refused.error)) from None
        return node.metadata()


# -- sessions ---------------------------------------------------------------------------------------------------------


async def start(call: Call) -> Any:
    error = files.UploadSessionStartError
    _check_body(call, error.payload_too_large, error.content_hash_mismatch)
    concurrent = call.arg.session_type is not None and call.arg.session_type.is_concurrent()
    if concurrent and call.body:
        raise Refused(error.concurrent_session_data_not_allowed)
    if concurrent and call.arg.close:
        raise Refused(error.concurrent_session_close_not_allowed)
    session = call.account.sessions.start(concurrent=concurrent)
    if not concurrent:
        session.write(0, call.body)
        session.closed = call.arg.close
    return files.UploadSessionStartResult(session_id=session.id)


async def start_batch(call: Call) -> Any:
    concurrent = call.arg.session_type is not None and call.arg.session_type.is_concurrent()
    made = [call.account.sessions.start(concurrent=concurrent) for _ in range(call.arg.num_sessions)]
    return files.UploadSessionStartBatchResult(session_ids=[session.id for session in made])


async def append(call: Call) -> None:
    error, arg = files.UploadSessionAppendError, call.arg
    _check_body(call, error.payload_too_large, error.content_hash_mismatch)
    try:
        call.account.sessions.append(arg.cursor.session_id, arg.cursor.offset, call.body, close=arg.close)
    except Failed as failed:
        raise Refused(failed.as_error(error)) from None


async def append_batch(call: Call) -> Any:
    error, arg = files.UploadSessionAppendBatchError, call.arg
    _check_body(call, error.payload_too_large, error.content_hash_mismatch)
    if sum(entry.length for entry in arg.entries) != len(call.body):
        raise Refused(error.length_mismatch)
    results = []
    at = 0
    for entry in arg.entries:
        data = call.body[at : at + entry.length]
        at += entry.length
        try:
            call.account.sessions.append(entry.cursor.session_id, entry.cursor.offset, data, close=entry.close)
        except Failed as failed:
            wrong = failed.as_error(files.UploadSessionAppendBatchEntryError)
            results.append(files.UploadSessionAppendBatchResultEntry.failure(wrong))
        else:
            results.append(files.UploadSessionAppendBatchResultEntry.success)
    return files.UploadSessionAppendBatchResult(entries=results)


def _commit(call: Call, arg: files.UploadSessionFinishArg, data: bytes, *, of_batch: bool) -> files.FileMetadata:
    """Raises Refused with an UploadSessionFinishError."""
    cursor, commit, sessions = arg.cursor, arg.commit, call.account.sessions
    content = sessions.finish(cursor.session_id, cursor.offset, data, of_batch=of_batch)
    try:
        node = call.account.writer.put_file(
            call.path(commit.path), content, mode=commit.mode, autorename=commit.autorename,
            strict=commit.strict_conflict, client_modified=commit.client_modified,
        )  # fmt: skip
    except WriteRefused as refused:
        raise Refused(files.UploadSessionFinishError.path(refused.error)) from None
    sessions.drop(cursor.session_id)
    told = node.metadata()
    assert isinstance(told, files.FileMetadata)
    return told


async def finish(call: Call) -> Any:
    error = files.UploadSessionFinishError
    _check_body(call, error.payload_too_large, error.content_hash_mismatch)
    async with call.namespace(error.too_many_write_operations):
        return _commit(call, call.arg, call.body, of_batch=False)


async def finish_batch(call: Call) -> Any:
    result = files.UploadSessionFinishBatchResultEntry
    busy = files.UploadSessionFinishError.too_many_write_operations
    results: list[Any] = []
    try:
        async with call.namespace(busy):
            for entry in call.arg.entries:
                try:
                    if call.service.jobs.entry_fails(entry.commit.path):
                        raise Refused(busy)
                    results.append(result.success(_commit(call, entry, b"", of_batch=True)))
                except Refused as refused:
                    results.append(result.failure(refused.error))
    except Refused:  # another call holds the namespace
        results = [result.failure(busy) for _ in call.arg.entries]
    return files.UploadSessionFinishBatchResult(entries=results)


HANDLERS: dict[str, Handler] = {
    "files/upload": upload,
    "files/upload_session/start": start,
    "files/upload_session/start_batch": start_batch,
    "files/upload_session/append_v2": append,
    "files/upload_session/append_batch": append_batch,
    "files/upload_session/finish": finish,
    "files/upload_session/finish_batch_v2": finish_batch,
}
