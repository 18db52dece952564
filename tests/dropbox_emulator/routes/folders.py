"""Folders, moves, copies and deletions, one by one and in batches."""

from collections.abc import Callable
from typing import Any

from dropbox import files

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


def _launch(call: Call, kind: str, union: Any, work: Callable[[], Any], *, at_once: bool | None = None) -> Any:
    """At once, or as a job, as the settings want unless the call does."""

    def rung() -> Any:
        outcome = work()
        call.service.bell.ring()
        return outcome

    if at_once if at_once is not None else call.service.settings.jobs == "complete":
        return union.complete(rung())
    return union.async_job_id(call.service.jobs.start(kind, call.account.id, rung))


def _check(kind: str, union: Any) -> Handler:
    async def check(call: Call) -> Any:
        outcome = call.service.jobs.poll(kind, call.account.id, call.arg.async_job_id)
        return union.in_progress if outcome is None else union.complete(outcome)

    return check


async def create_folder_batch(call: Call) -> Any:
    def work() -> Any:
        results = []
        for path in call.arg.paths:
            try:
                node = call.account.writer.make_folder(call.path(path), autorename=call.arg.autorename)
            except WriteRefused as refused:
                wrong = files.CreateFolderEntryError.path(refused.error)
                results.append(files.CreateFolderBatchResultEntry.failure(wrong))
            else:
                made = files.CreateFolderEntryResult(metadata=node.metadata())
                results.append(files.CreateFolderBatchResultEntry.success(made))
        return files.CreateFolderBatchResult(entries=results)

    at_once = False if call.arg.force_async else None
    return _launch(call, "create_folder", files.CreateFolderBatchLaunch, work, at_once=at_once)


def _relocation_batch(copy: bool) -> Handler:
    async def relocate_batch(call: Call) -> Any:
        def work() -> Any:
            results = []
            for entry in call.arg.entries:
                try:
                    node = call.account.writer.relocate(
                        call.path(entry.from_path), call.path(entry.to_path), copy=copy, autorename=call.arg.autorename
                    )
                except Refused as refused:
                    wrong = files.RelocationBatchErrorEntry.relocation_error(refused.error)
                    results.append(files.RelocationBatchResultEntry.failure(wrong))
                else:
                    results.append(files.RelocationBatchResultEntry.success(node.metadata()))
            return files.RelocationBatchV2Result(entries=results)

        for entry in call.arg.entries:
            call.path(entry.from_path), call.path(entry.to_path)
        return _launch(call, "copy" if copy else "move", files.RelocationBatchV2Launch, work)

    return relocate_batch


async def delete_batch(call: Call) -> Any:
    def work() -> Any:
        results = []
        for entry in call.arg.entries:
            try:
                told = call.account.writer.delete(call.path(entry.path), entry.parent_rev)
            except Refused as refused:
                results.append(files.DeleteBatchResultEntry.failure(refused.error))
            else:
                results.append(files.DeleteBatchResultEntry.success(files.DeleteBatchResultData(metadata=told)))
        return files.DeleteBatchResult(entries=results)

    return _launch(call, "delete", files.DeleteBatchLaunch, work)


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
