"""Large files, sent in chunks: gone on with where they were, ended when something newer is wanted."""

import logging
from collections.abc import Callable

import trio

from onitufs.model.copies import RemoteState
from onitufs.model.errors import DriverError, Gone, NameNotAllowed, ServiceError, Stale, TooLarge
from onitufs.model.ids import EntryName, FileId
from onitufs.model.orders import Put

from .bandwidth import Bucket
from .begun import Begun, BegunUploads
from .calling import Handlers
from .handlers import Upload
from .progress import Metered, Pace, Transfer, rest

log = logging.getLogger(__name__)

SWEEP_S = 3600.0
_TIMES = 3
"""How often a service may forget one upload, before it is taken for being in trouble."""


class GaveWay(Exception):
    """An upload was left where it is, as smaller ones wait for its lane; it is gone on with later."""


class Chunks:
    """Uploads in chunks in one session of an entry; it may be that its driver takes none.

    `still_wanted`: asked between chunks; if not, the upload is ended as Stale. `gives_way`: then it raises GaveWay.
    `went_well`: called after each chunk.
    """

    def __init__(
        self,
        handlers: Handlers,
        begun: BegunUploads,
        *,
        still_wanted: Callable[[Put], bool],
        gives_way: Callable[[Put], bool],
        went_well: Callable[[], None],
        pace: Pace,
        up: Bucket,
    ) -> None:
        self.handlers = handlers
        self.begun = begun
        self.still_wanted = still_wanted
        self.gives_way = gives_way
        self.went_well = went_well
        self.pace = pace
        self.up = up
        self.chunk_bytes: int = handlers.get("chunk_bytes", 0) if handlers.has("start_upload") else 0

    def take(self, order: Put) -> bool:
        """Whether this file is to be sent in chunks."""
        return 0 < self.chunk_bytes < order.size

    async def sweep(self, entry: EntryName, pending: Callable[[FileId], bool]) -> None:
        """Remove from the service what nobody wants any more, now and later, until cancelled. Raises bugs only."""
        while True:
            for token in self.begun.to_abort(pending):
                try:
                    await self.handlers.call("abort_upload", token)
                except DriverError as exc:
                    log.info("entry %s: an upload that is not wanted is still there: %s", entry, exc)
                    self.begun.unwant(token)  # tried again, but not at once
                    break
                await self.begun.forget(self.handlers.runner.run, token)
            else:
                with trio.move_on_after(SWEEP_S):
                    await self.begun.woke.wait()
                continue
            await trio.sleep(SWEEP_S / 60)


class ChunkedUpload:
    """The upload of one order. `send` may be called again after Conflict and Gone: nothing is sent twice."""

    def __init__(self, chunks: Chunks, order: Put, source: Metered, transfer: Transfer) -> None:
        self._chunks = chunks
        self._call = chunks.handlers.call
        self._run = chunks.handlers.runner.run
        self._order = order
        self._source = source
        self._transfer = transfer
        self._token: str | None = None
        self._offset = 0

    async def send(self, upload: Upload) -> RemoteState:
        """As the handler upload_file. Also raises ServiceError for a service that keeps forgetting what was sent, and
        GaveWay."""
        whole = self._source.looked_at()
        try:
            for _ in range(_TIMES):
                try:
                    token = await self._begin(upload)
                    await self._send_rest(token)
                    state: RemoteState = await self._call("end_upload", token, upload, whole)
                except Gone:
                    if self._token is None or await self._goes_on(self._token, upload):
                        raise  # it is not the upload that is gone: the directory above is
                else:
                    await self._chunks.begun.forget(self._run, token)
                    return state
        except (Stale, NameNotAllowed, TooLarge):
            if self._token is not None:
                self._chunks.begun.unwant(self._token)
            raise
        raise ServiceError("the service keeps forgetting what was sent to it")

    async def _begin(self, upload: Upload) -> str:
        """Go on with what an earlier session sent, or begin; the token."""
        if self._token is not None:
            return self._token
        begun = self._chunks.begun
        earlier = begun.find(self._order)
        if earlier is not None and await self._goes_on(earlier.token, upload):
            await begun.keep(self._run, earlier)
            return earlier.token
        token: str = await self._call("start_upload", upload)
        await begun.keep(self._run, Begun.of(self._order, token))
        self._token, self._offset = token, 0
        self._transfer.goes_on_at(0)
        return token

    async def _goes_on(self, token: str, upload: Upload) -> bool:
        """Whether the service still knows the upload; then `_token` and `_offset` are set."""
        offset: int | None = await self._call("restart_upload", token, upload)
        if offset is None or not 0 <= offset <= self._order.size:
            self._token = None
            self._chunks.begun.unwant(token)
            return False
        self._token, self._offset = token, offset
        self._transfer.goes_on_at(offset)
        return True

    async def _send_rest(self, token: str) -> None:
        size = self._order.size
        began_at = self._offset
        while self._offset < size:
            if self._offset > began_at and self._chunks.gives_way(self._order):
                raise GaveWay
            if not self._chunks.still_wanted(self._order):
                raise Stale("a newer version was saved, or it is not wanted there any more")
            began_s = trio.current_time()
            await self._chunks.up.turn()
            length = min(self._chunks.up.chunk(self._chunks.chunk_bytes), size - self._offset)
            offset: int = await self._call("upload_chunk", token, self._source, self._offset, length)
            if not self._offset < offset <= size:
                raise ServiceError(f"the service has {offset} bytes after {self._offset + length} were sent")
            self._offset = offset
            self._transfer.confirmed(offset)
            self._chunks.went_well()
            await rest(self._chunks.pace, trio.current_time() - began_s)
