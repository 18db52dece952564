"""HTTP/1.1 over TLS on the hosts of the service, and the faults that a connection can have."""

import contextlib
import json
import ssl
import traceback

import h11
import trio

from . import api, wire
from .errors import HungUp
from .faults import Fault
from .journal import Entry
from .service import Service
from .wire import Answer, Request

HEADERS_LIMIT = 512 * 1024
PIECE = 256 * 1024


class Cut(HungUp):
    """In the middle of a body."""


class Server:
    """Serves `service`, which a reset replaces."""

    def __init__(self, service: Service, context: ssl.SSLContext) -> None:
        self.service = service
        self._context = context
        self.bugs: list[str] = []
        """Tracebacks of what went wrong in here."""

    async def serve(self, host: str, listener: trio.SocketListener) -> None:
        """Answer as `host` until cancelled."""

        async def talk(plain: trio.SocketStream) -> None:
            if self.service.settings.hang_up_in_handshake:
                await plain.receive_some(PIECE)
                await plain.aclose()
                return
            stream = trio.SSLStream(plain, self._context, server_side=True, https_compatible=True)
            with contextlib.suppress(
                trio.BrokenResourceError, trio.ClosedResourceError, HungUp, h11.RemoteProtocolError
            ):
                await Connection(self, host, stream).run()
            with trio.move_on_after(1, shield=True):
                await plain.aclose()

        await trio.serve_listeners(talk, [listener])


class Connection:
    """One connection; calls on it come one after the other."""

    def __init__(self, server: Server, host: str, stream: "trio.SSLStream[trio.SocketStream]") -> None:
        self._server = server
        self._host = host
        self._stream = stream
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADERS_LIMIT)

    async def run(self) -> None:
        while True:
            if self._server.service.settings.offline:
                raise HungUp
            event = await self._next()
            if not isinstance(event, h11.Request):
                return
            await self._serve(event)
            if self._h11.our_state is h11.MUST_CLOSE or self._h11.their_state is h11.MUST_CLOSE:
                return
            self._h11.start_next_cycle()

    async def _next(self) -> object:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            if self._h11.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._h11.receive_data(await self._stream.receive_some(PIECE))
        return event

    async def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            await self._stream.send_all(data)

    async def _serve(self, event: h11.Request) -> None:
        service = self._server.service  # this call is one of the service that it came to, whatever is reset meanwhile
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
        request = Request(self._host, event.method.decode(), event.target.decode("ascii"), headers)
        entry = service.journal.begin(self._host, request.route, service.clock.now())
        entry.user_agent, entry.range = headers.get("user-agent", ""), headers.get("range")
        began, ended = trio.current_time(), "dropped"
        try:
            await self._read_body(service, request, entry)
            if service.settings.offline:
                raise HungUp
            service.journal.work(entry)
            await self._answer(service, request, entry)
            ended = "answered"
        except Cut:
            ended = "cut"
            raise
        finally:
            service.journal.end(entry, ended, trio.current_time() - began)

    async def _read_body(self, service: Service, request: Request, entry: Entry) -> None:
        arg_text = request.headers.get("dropbox-api-arg", "")
        fault = service.faults.take(request.route, arg_text, while_reading=True)
        body = bytearray()
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise HungUp
            body += event.data
            entry.body_bytes = len(body)
            if fault is not None and fault.cut_request_after is not None and len(body) >= fault.cut_request_after:
                break
        if fault is not None:
            raise Cut
        request.body = bytes(body)

    async def _answer(self, service: Service, request: Request, entry: Entry) -> None:
        fault = service.faults.take(request.route, request.arg_text, while_reading=False) or Fault("")
        if fault.hold is not None:
            await service.faults.pass_gate(fault.hold)
        if fault.delay_s:
            await trio.sleep(fault.delay_s)
        if fault.drop == "before":
            raise HungUp
        if fault.ignore_range:
            request.headers.pop("range", None)
        answer = planned(fault) or await self._real_answer(service, request, entry)
        entry.status, entry.summary = answer.status, answer.summary
        if fault.hold_answer is not None:
            await service.faults.pass_gate(fault.hold_answer)
        if fault.drop == "after":
            raise HungUp
        if fault.corrupt and answer.body:
            answer.body = bytes([answer.body[0] ^ 0xFF]) + answer.body[1:]
        await self._write(answer, entry, fault.cut_answer_after)

    async def _real_answer(self, service: Service, request: Request, entry: Entry) -> Answer:
        try:
            return await api.answer(service, request, entry)
        except HungUp:
            raise
        except Exception:
            told = traceback.format_exc()
            self._server.bugs.append(told)
            return wire.text(500, f"bug in the emulator\n{told}")

    async def _write(self, answer: Answer, entry: Entry, cut_after: int | None) -> None:
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            ("X-Dropbox-Request-Id", entry.request_id),
            *answer.headers.items(),
        ]
        await self._send(h11.Response(status_code=answer.status, headers=headers))
        body = memoryview(answer.body)
        end = len(body) if cut_after is None else min(cut_after, len(body))
        for start in range(0, end, PIECE):
            piece = body[start : min(start + PIECE, end)]
            await self._send(h11.Data(data=bytes(piece)))
            entry.answer_bytes += len(piece)
        if cut_after is not None:
            raise Cut
        await self._send(h11.EndOfMessage())


def planned(fault: Fault) -> Answer | None:
    """The answer that a test wants instead of a real one."""
    if fault.error is not None:
        summary = wire.summary_of(fault.error)
        body = json.dumps({"error_summary": summary, "error": fault.error}).encode()
        return Answer(409, wire.JSON, body, dict(fault.headers), summary)
    if fault.status is not None:
        return Answer(fault.status, fault.content_type, fault.body.encode(), dict(fault.headers), "planned")
    return None
