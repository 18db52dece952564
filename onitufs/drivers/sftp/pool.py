"""The conversations of one entry with its server, handed out to threads."""

import enum
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paramiko.ssh_exception import ChannelException, SSHException

from onitufs.model.errors import ServiceError

from .connecting import TIMEOUT_S, Connection
from .wire import Wire

_MOST = 8
"""Conversations on one connection at most. sshd allows 10 by default (MaxSessions)."""
_WAIT_S = 60.0


class Lane(enum.Enum):
    """What a conversation is for. Each lane has a connection of its own, so that large files delay no names."""

    NAMES = enum.auto()
    BYTES = enum.auto()


class Pool:
    """Keeps what is open and not in use, and connects again what broke. Every method is for any thread."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._closed = False
        self._lanes = {lane: _Lane() for lane in Lane}

    @contextmanager
    def wire(self, lane: Lane) -> Iterator[Wire]:
        """A conversation for this thread alone. Not to be asked for by who has one of that lane. Raises DriverError."""
        state = self._lanes[lane]
        wire = self._take(state)
        try:
            yield wire
        finally:
            self._back(state, wire)

    def close(self) -> None:
        """End everything. Who is in a conversation gets a ServiceError."""
        self._closed = True
        for state in self._lanes.values():
            with state.changed:
                connection, state.connection = state.connection, None
                wires = [*state.idle, *state.busy]
                state.idle.clear()
                state.changed.notify_all()
            for wire in wires:
                wire.close()
            if connection is not None:
                connection.close()

    def _take(self, state: "_Lane") -> Wire:
        deadline = time.monotonic() + _WAIT_S
        while True:
            with state.changed:
                self._check()
                while state.idle:
                    wire = state.idle.pop()
                    if wire.is_clean:
                        state.busy.add(wire)
                        return wire
                    wire.close()
                if len(state.busy) + state.opening < state.most:
                    state.opening += 1
                    break
                if not state.changed.wait(max(0.0, deadline - time.monotonic())):
                    raise ServiceError("the server is busy: no conversation became free")
        opened: Wire | None = None
        try:
            opened = self._open(state)
        finally:
            with state.changed:
                state.opening -= 1
                if opened is not None:
                    state.busy.add(opened)
                state.changed.notify()
        if opened is not None:
            return opened
        return self._take(state)

    def _open(self, state: "_Lane") -> Wire | None:
        """A new conversation; None: the server allows no more of them, and there are others to wait for."""
        with state.connecting:
            self._check()
            connection = state.connection
            if connection is None or not connection.is_alive:
                if connection is not None:
                    connection.close()
                state.connection = connection = self._connect()
                if self._closed:
                    connection.close()
                    self._check()
        try:
            channel = connection.transport.open_session(timeout=TIMEOUT_S)
            channel.invoke_subsystem("sftp")
        except ChannelException as exc:
            with state.changed:
                others = len(state.busy) + len(state.idle)
                if others:
                    state.most = min(state.most, others)
                    return None
            raise ServiceError(f"the server opens no channel: {exc.text}") from exc
        except (OSError, EOFError, SSHException) as exc:
            raise ServiceError(f"the server offers no SFTP: {str(exc) or type(exc).__name__}") from exc
        return Wire(channel)

    def _back(self, state: "_Lane", wire: Wire) -> None:
        with state.changed:
            state.busy.discard(wire)
            if wire.is_clean and not self._closed:
                state.idle.append(wire)
            else:
                wire.close()
            state.changed.notify()

    def _check(self) -> None:
        if self._closed:
            raise ServiceError("the connection is closed")


class _Lane:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.connecting = threading.Lock()
        self.connection: Connection | None = None
        self.idle: list[Wire] = []
        self.busy: set[Wire] = set()
        self.opening = 0
        self.most = _MOST
