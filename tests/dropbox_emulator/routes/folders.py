"""Folders, moves, copies and deletions, one by one and in batches."""

from collections.abc import Callable
from typing import Any

from dropbox import files

from .. import names
from ..errors import Refused, WriteRefused
from .call import Call, Handler


async def create_folder(call: Call) -> Any:
    busy = files.CreateFolderError.path(files.WriteError.too_many_write_operations)
    async with call.namespace(busy):
        try:
            node = call.account.writer.make_folder(call.path(call.arg.path), autorename=call.arg.autorename)
        except WriteRefused as refused:
            raise Refused(files.CreateFolderError.path(refused.error)) from None
        return files.CreateFolderResult(metadata=node.metadata())


def _relocation(copy: bool) -> Handler:
    async def relocate(call: Call) -> Any:
        busy = files.RelocationError.to(files.WriteError.too_many_write_operations)
        arg = call.arg
        async with call.namespace(busy):
            node = call.account.writer.relocate(
                call.path(arg.from_path), call.path(arg.to_path), copy=copy, autorename=arg.autorename
            )
            return files.RelocationResult(metadata=node.metadata())

    return relocate


async def delete(call: Call) -> Any:
    async with call.namespace(files.DeleteError.too_many_write_operations):
        return files.DeleteResult(metadata=call.account.writer.delete(call.path(call.arg.path), call.arg.parent_rev))


# -- batches ----------------------------------------------------------------------------------------------------------


async def _launch(
    call: Call, kind: str, union: Any, work: Callable[[], Any], *, failed: Any = None, at_once: bool | None = None
) -> Any:
    """At once, or as a job, as the settings want unless the call does. `failed`: what a job that fails comes to."""
    jobs = call.service.jobs
    fails = failed is not None and jobs.fails()

    def outcome() -> Any:
        done = failed if fails else work()
        call.service.bell.ring()
        return done

    async with call.namespace(None):
        if not fails and (at_once if at_once is not None else call.service.settings.jobs == "complete"):
            return union.complete(outcome())
        return union.async_job_id(jobs.start(kind, call.account.id, outcome))


def _check(kind: str, union: Any) -> Handler:
    async def check(call: Call) -> Any:
        outcome = call.service.jobs.poll(kind, call.account.id, call.arg.async_job_id)
        if outcome is None:
            return union.in_progress
        if isinstance(outcome, files.DeleteBatchError | files.CreateFolderBatchError):
            return union.failed(outcome)
        return union.complete(outcome)

    return check


async def create_folder_batch(call: Call) -> Any:
    result = files.CreateFolderBatchResultEntry
    paths = [call.path(path) for path in call.arg.paths]

    def make(path: str) -> Any:
        try:
            if call.service.jobs.entry_fails(path):
                raise WriteRefused(files.WriteError.too_many_write_operations)
            node = call.account.writer.make_folder(path, autorename=call.arg.autorename)
        except WriteRefused as refused:
            return result.failure(files.CreateFolderEntryError.path(refused.error))
        return result.success(files.CreateFolderEntryResult(metadata=node.metadata()))

    return await _launch(
        call, "create_folder", files.CreateFolderBatchLaunch,
        lambda: files.CreateFolderBatchResult(entries=[make(path) for path in paths]),
        failed=files.CreateFolderBatchError.too_many_files, at_once=False if call.arg.force_async else None,
    )  # fmt: skip


def _relocation_batch(copy: bool) -> Handler:
    error, result = files.RelocationBatchErrorEntry, files.RelocationBatchResultEntry

    async def relocate_batch(call: Call) -> Any:
        pairs = [(call.path(entry.from_path), call.path(entry.to_path)) for entry in call.arg.entries]

        def relocate(number: int) -> Any:
            source, target = pairs[number]
            if call.service.jobs.entry_fails(source):
                return result.failure(error.too_many_write_operations)
            if any(_nested(source, other) for at, (other, _) in enumerate(pairs) if at != number):
                return result.failure(error.relocation_error(files.RelocationError.duplicated_or_nested_paths))
            try:
                node = call.account.writer.relocate(source, target, copy=copy, autorename=call.arg.autorename)
            except Refused as refused:
                return result.failure(error.relocation_error(refused.error))
            return result.success(node.metadata())

        return await _launch(
            call, "copy" if copy else "move", files.RelocationBatchV2Launch,
            lambda: files.RelocationBatchV2Result(entries=[relocate(number) for number in range(len(pairs))]),
        )  # fmt: skip

    return relocate_batch


def _nested(one: str, other: str) -> bool:
    """Whether the paths are one, or one lies in the other."""
    first, second = names.fold(one) + "/", names.fold(other) + "/"
    return first.startswith(second) or second.startswith(first)


async def delete_batch(call: Call) -> Any:
    result = files.DeleteBatchResultEntry
    entries = [(call.path(entry.path), entry.parent_rev) for entry in call.arg.entries]

    def remove(path: str, parent_rev: str | None) -> Any:
        try:
            if call.service.jobs.entry_fails(path):
                raise Refused(files.DeleteError.too_many_write_operations)
            told = call.account.writer.delete(path, parent_rev)
        except Refused as refused:
            return result.failure(refused.error)
        return result.success(files.DeleteBatchResultData(metadata=told))

    return await _launch(
        call, "delete", files.DeleteBatchLaunch,
        lambda: files.DeleteBatchResult(entries=[remove(*entry) for entry in entries]),
        failed=files.DeleteBatchError.too_many_write_operations,
    )  # fmt: skip


HANDLERS: dict[str, Handler] = {
    "files/create_folder_v2": create_folder,
    "files/create_folder_batch": create_folder_batch,
    "files/create_folder_batch/check": _check("create_folder", files.CreateFolderBatchJobStatus),
    "files/move_v2": _relocation(copy=False),
    "files/copy_v2": _relocation(copy=True),
    "files/move_batch_v2": _relocation_batch(copy=False),
    "files/move_batch/check_v2": _check("move", files.RelocationBatchV2JobStatus),
    "files/copy_batch_v2": _relocation_batch(copy=True),
    "files/copy_batch/check_v2": _check("copy", files.RelocationBatchV2JobStatus),
    "files/delete_v2": delete,
    "files/delete_batch": delete_batch,
    "files/delete_batch/check": _check("delete", files.DeleteBatchJobStatus),
}
