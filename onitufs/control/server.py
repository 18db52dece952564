"""The answering end of the control socket, inside the daemon.

Whoever is on the other end, one client is one task: what it sends can end its own connection and nothing else.
"""

import contextlib
import inspect
import logging
import os
import socket
from collections.abc import Awaitable, Callable

import trio

from onitufs.daemon.service import Answer, Service
from onitufs.model.errors import Exit, OnituError, StateError

from . import protocol, runtime
from .client import CREDENTIALS
from .questions import MANY_ANSWERS, ONE_ANSWER, Arguments

log = logging.getLogger(__name__)

MOST_CLIENTS = 64
LOOK_S = 5.0  # how long we may be out of reach after a session's directory was taken away
FAREWELL_S = 2.0  # how long the answer to `stop` may hold up the end of the daemon

Send = Callable[[protocol.Fields], Awaitable[None]]


async def serve(service: Service, *, state: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Answer clients until cancelled; they can find us when task_status.started() was called.

    If the place where they look is taken away, as that of a session is when it ends, we move to another. Raises
    StateError or OSError if the socket cannot be made. Cancelled: socket and record are removed.
    """
    started: Callable[[], None] = task_status.started  # only once
    while True:
        try:
            await _serve_at_one_place(service, state, started)
        except (StateError, OSError):
            if started is not _nothing:
                raise
            log.exception("control: there is no place for the socket")
            await trio.sleep(LOOK_S)
        started = _nothing


def _nothing() -> None:
    pass


async def _serve_at_one_place(service: Service, state: str, started: Callable[[], None]) -> None:
    """Returns when the place is gone."""
    glance = service.status()
    name = f"{os.getpid()}.socket"
    with runtime.entered() as (path, directory):
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(_listen(directory, name)))
        clients = trio.CapacityLimiter(MOST_CLIENTS)

        async def converse(stream: trio.SocketStream) -> None:
            await _converse(service, stream, clients)

        try:
            async with listener:
                with runtime.registered(
                    setup=str(glance["setup"]), name=str(glance["name"]), mount=str(glance["mount"]), state=state
                ):
                    started()  # clients that come now wait in the socket's queue
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(trio.serve_listeners, converse, [listener])
                        await _until_gone(f"{path}/{name}")
                        log.info("control: the socket was taken away, making another", extra={"from": path})
                        nursery.cancel_scope.cancel()
        finally:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=directory)


async def _until_gone(socket_path: str) -> None:
    """Returns when the directory of a session was taken away. Others stay; and a home on a dead server hangs."""
    if not socket_path.startswith("/run/user/"):
        await trio.sleep_forever()
    while os.path.lexists(socket_path):  # noqa: ASYNC110, ASYNC240  nobody tells, and it is in memory
        await trio.sleep(LOOK_S)


def _listen(directory: int, name: str) -> socket.socket:
    """A listening socket that had mode 0600 from its first moment."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)  # of a dead process that had our pid
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        listening.bind(f"/proc/self/fd/{directory}/{name}")  # an address has 107 bytes only; the directory may be deep
        listening.listen(MOST_CLIENTS)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


async def _converse(service: Service, stream: trio.SocketStream, clients: trio.CapacityLimiter) -> None:
    """Everything with one client. Raises nothing but Cancelled."""
    async with stream:
        credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        pid, uid, _ = CREDENTIALS.unpack(credentials)
        if uid not in (0, os.geteuid()):
            log.warning("control: refused process %d of uid %d", pid, uid)
            return

        async def send(fields: protocol.Fields) -> None:
            await stream.send_all(protocol.encode(fields))

        try:
            clients.acquire_on_behalf_of_nowait(stream)
        except trio.WouldBlock:
            with contextlib.suppress(trio.BrokenResourceError):
                await send(_error(f"more than {MOST_CLIENTS} clients ask at the same time", Exit.NO_DAEMON))
            return
        try:
            await _questions_and_answers(service, _Requests(stream), send)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away
        except Exception:
            log.exception("control: a client ended its own connection")
        finally:
            clients.release_on_behalf_of(stream)


class _Requests:
    """The lines that one client sends. Keeps reading while one is answered, to see the client go away."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def next(self) -> bytes | None:
        """The next line, None when the client has closed. Raises Garbled when it is too long."""
        while (end := self._buffer.find(b"\n")) < 0:
            if not await self._more():
                return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    async def closed(self) -> None:
        """Returns when the client has closed its end. Raises Garbled when it sends far ahead of its answers."""
        while await self._more():
            pass

    async def _more(self) -> bool:
        if len(self._buffer) > protocol.LONGEST_REQUEST:
            raise protocol.Garbled(f"more than {protocol.LONGEST_REQUEST} bytes without an answer")
        received = await self._stream.receive_some(16 * 1024)
        self._buffer += received
        return bool(received)


async def _questions_and_answers(service: Service, requests: _Requests, send: Send) -> None:
    """One question after the other, until the client has closed, or sent what cannot be a question."""
    closed = False
    garbled: protocol.Garbled | None = None

    async def call_off_when_closed(answering: trio.CancelScope) -> None:
        nonlocal closed, garbled
        try:
            await requests.closed()
            closed = True
        except protocol.Garbled as error:
            garbled = error
        except trio.BrokenResourceError:
            closed = True
        answering.cancel()

    while not closed and garbled is None:
        try:
            line = await requests.next()
        except protocol.Garbled as error:
            garbled = error
            break
        if line is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call_off_when_closed, nursery.cancel_scope)
            closed = await _answer(service, line, send)
            nursery.cancel_scope.cancel()
    if garbled is not None:
        await send(_error(str(garbled), Exit.USAGE))


async def _answer(service: Service, line: bytes, send: Send) -> bool:
    """Answer one request. Returns whether the client is gone. Raises nothing but Cancelled."""
    try:
        try:
            await _carry_out(service, protocol.decode(line), send)
        except protocol.Garbled as error:
            await send(_error(str(error), Exit.USAGE))
        except OnituError as error:
            await send(_error(str(error), error.exit_status))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return True
        except Exception as error:
            log.exception("control: a question could not be answered")
            what = f"{type(error).__name__}: {error}".partition("\n")[0]
            await send(_error(f"a bug in the daemon: {what} (see {service.log_path()})", Exit.BUG))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return True
    return False


async def _carry_out(service: Service, request: protocol.Fields, send: Send) -> None:
    do = request.get("do")
    arguments = Arguments(request)
    if isinstance(do, str) and (one := ONE_ANSWER.get(do)) is not None:
        answered = one(service, arguments)
        answer: Answer = await answered if inspect.isawaitable(answered) else answered
        if do == "stop":  # the daemon may be on its way down already, and this is what the client waits for
            with trio.move_on_after(FAREWELL_S, shield=True):
                await send({"ok": answer})
        else:
            await send({"ok": answer})
    elif isinstance(do, str) and (many := MANY_ANSWERS.get(do)) is not None:
        answers = many(service, arguments)
        try:
            async for answer in answers:
                await send({"ok": answer})
        finally:
            if inspect.isasyncgen(answers):
                await answers.aclose()
        await send({"end": True})
    else:
        known = ", ".join(sorted([*ONE_ANSWER, *MANY_ANSWERS]))
        raise protocol.Garbled(f"no question {do!r}; there are {known}")


def _error(message: str, exit_status: Exit) -> protocol.Fields:
    return {"error": {"message": message, "exit": int(exit_status)}}
