"""Orders, one or a batch, with all that belongs to them: directories on the way, the bytes, the transfer's progress."""

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from onitufs.model.copies import RemoteState
from onitufs.model.errors import Stale
from onitufs.model.files import Kind
from onitufs.model.ids import FileId
from onitufs.model.orders import Delete, Done, Move, Order, Put, SetAttributes
from onitufs.model.source import Source

from .bandwidth import Bucket
from .calling import Handlers
from .carrying import Carrier, base_of, upload_of
from .chunking import ChunkedUpload, Chunks
from .handlers import RemotePath, Upload
from .progress import Metered, Pace, Transfer, unhurried


class Performer:
    """Performs orders in one session of an entry. `open_source` as for Plug."""

    def __init__(
        self,
        handlers: Handlers,
        carrier: Carrier,
        chunks: Chunks,
        open_source: Callable[[Put], Source],
        up: Bucket,
        pace: Pace = unhurried,
    ) -> None:
        self._handlers = handlers
        self._pace = pace
        self._carrier = carrier
        self._chunks = chunks
        self._up = up
        self._open_source = open_source
        self.takes_batches = handlers.has("upload_batch")

    def touches(self, order: Order) -> tuple[list[tuple[RemotePath, bool]], list[tuple[FileId, RemotePath]]]:
        """What to claim for an order, as (path, shared), and the directories that it is going to make, and where.

        One must not be made at two places at a time, nor two at one. Raises Gone, Stale, NameNotAllowed.
        """
        carrier = self._carrier
        match order:
            case Put():
                path = carrier.path(order.place, order.missing)
                making = carrier.unmade(order.missing)
                if order.kind is Kind.DIRECTORY:  # one that succeeds a dead one takes over all that stands in it
                    return [(path, order.replaces is None)], [*making, (order.file, path)]
                had = order.had
                if had is not None and had.place != order.place:  # a takeover: what it leaves becomes another file's
                    return [(path, False), (carrier.path_of_copy(had), False)], making
                return [(path, False)], making
            case Move():
                paths = [carrier.path_of_copy(order.copy), carrier.path(order.place, order.missing)]
                return [(path, False) for path in paths], carrier.unmade(order.missing)
            case Delete():
                return [(carrier.path_of_copy(order.copy), False)], []
            case SetAttributes():
                return [(carrier.path_of_copy(order.copy), order.copy.kind is Kind.DIRECTORY)], []
            case _:
                assert_never(order)

    async def one(self, order: Order, transfer: Transfer) -> Done:
        """Perform an order. Raises what the Carrier and the source raise."""
        carrier = self._carrier
        match order:
            case Put():
                made = await carrier.make_directories(carrier.unmade(order.missing))
                path = carrier.path(order.place, order.missing)
                if order.kind is Kind.DIRECTORY:
                    done = await carrier.put_directory(order, path)
                    return Done(order=order, state=done.state, made=(*made, *done.made), kept=done.kept)
                if order.kind is Kind.SYMLINK:
                    state, kept = await carrier.put_symlink(order, path)
                else:
                    state, kept = await self._file(order, path, transfer)
                return Done(order=order, state=state, made=made, kept=kept)
            case Move():
                made = await carrier.make_directories(carrier.unmade(order.missing))
                paths = carrier.path_of_copy(order.copy), carrier.path(order.place, order.missing)
                done = await carrier.move(order, *paths)
                return Done(order=order, state=done.state, made=made, kept=done.kept)
            case Delete():
                return await carrier.delete(order, carrier.path_of_copy(order.copy))
            case SetAttributes():
                return await carrier.set_attributes(order, carrier.path_of_copy(order.copy))
            case _:
                assert_never(order)

    async def _file(self, order: Put, path: RemotePath, transfer: Transfer) -> tuple[RemoteState, bytes]:
        source = self._metered(order, transfer)
        try:
            if self._chunks.take(order):
                upload = ChunkedUpload(self._chunks, order, source, transfer)
                return await self._carrier.put_large_file(order, path, source.looked_at(), upload.send)

            async def send(upload: Upload) -> RemoteState:
                await self._up.turn()
                state: RemoteState = await self._handlers.call("upload_file", upload, source)
                return state

            return await self._carrier.put_file(order, path, source.looked_at(), send)
        finally:
            source.close()

    def _metered(self, order: Put, transfer: Transfer) -> Metered:
        try:
            source = self._open_source(order)
        except Stale:
            self._chunks.begun.unwant_all(order.file)
            raise
        return Metered(source, transfer, self._handlers.runner, self._pace, self._up)

    async def batch(self, transfers: Sequence[Transfer]) -> list[Done | Exception]:
        """Perform Puts of files together; for each its end, or what was raised for it. Raises cancellation only.

        Conflict and Gone mean that the Put is to be performed singly, where these are dealt with.
        """
        carrier = self._carrier
        made: dict[FileId, bool] = {}
        ends: list[Done | Exception | None] = [None] * len(transfers)
        sent: list[tuple[int, Put]] = []
        uploads: list[tuple[Upload, Source]] = []
        try:
            for number, transfer in enumerate(transfers):
                order = transfer.order
                assert isinstance(order, Put)
                try:
                    unmade = [missing for missing in carrier.unmade(order.missing) if missing[0] not in made]
                    made.update(await carrier.make_directories(unmade))
                    path = carrier.path(order.place, order.missing)
                    uploads.append((upload_of(order, path, base_of(order)), self._metered(order, transfer)))
                    sent.append((number, order))
                except Exception as exc:  # noqa: BLE001  the caller's to judge
                    ends[number] = exc
            answers: list[Any]
            try:
                await self._up.turn()
                answers = await self._handlers.call("upload_batch", uploads) if uploads else []
            except Exception as exc:  # noqa: BLE001
                answers = [exc] * len(uploads)
        finally:
            for _, source in uploads:
                source.close()
        for (number, order), answer in zip(sent, answers, strict=True):
            if isinstance(answer, Exception):
                ends[number] = answer
            else:
                told = tuple((file, made.pop(file)) for file in order.missing if file in made)
                ends[number] = Done(order=order, state=answer, made=told)
        return [end for end in ends if end is not None]
