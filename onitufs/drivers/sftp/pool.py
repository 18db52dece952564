"""The conversations of one entry with its server, handed out to threads."""

import enum
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from paramiko.ssh_exception import ChannelException, SSHException

from onitufs.model.errors import ServiceError

from .connecting import TIMEOUT_S, Connection
from .wire import Wire

_MOST = 8
"""Conversations on one connection at most. sshd allows 10 by default (MaxSessions)."""
_WAIT_S = 60.0
_KEPT_S = 20.0


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
    def wire(self, lane: Lane, keeping: object = None) -> Iterator[Wire]:
        """A conversation for this thread alone; if that can be, one that keeps a handle of `keeping` open.

        Not to be asked for by who has one of that lane. Raises DriverError.
        """
        state = self._lanes[lane]
        wire = self._take(state, keeping)
        assert wire is not None
        try:
            yield wire
        finally:
            self._back(state, wire)

    @contextmanager
    def wires(self, lane: Lane, most: int) -> Iterator[list[Wire]]:
        """Several conversations: one, and as many more as are to be had without waiting."""
        state = self._lanes[lane]
        with ExitStack() as stack:
            wires = [stack.enter_context(self.wire(lane))]
            while len(wires) < most and (wire := self._take(state, wait=False)) is not None:
                stack.callback(self._back, state, wire)
                wires.append(wire)
            yield wires

    def tidy(self) -> None:
        """Close what was kept open for who might come again, and has not come for a while."""
        for state in self._lanes.values():
            with state.changed:
                idle, state.idle = state.idle, []
                state.busy.update(idle)
            for wire in idle:
                try:
                    wire.close_kept(time.monotonic() - _KEPT_S)
                except ServiceError:
                    pass
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

    def _take(self, state: "_Lane", keeping: object = None, *, wait: bool = True) -> Wire | None:
        """None: none is free, and it is not to be waited."""
        deadline = time.monotonic() + _WAIT_S
        while True:
            with state.changed:
                self._check()
                if (wire := state.pick(keeping)) is not None:
                    state.busy.add(wire)
                    return wire
                if len(state.busy) + state.opening < state.most:
                    state.opening += 1
                    break
                if not wait:
                    return None
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
        if opened is not None or not wait:
            return opened
        return self._take(state, keeping)

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
            # One at a time: the library keeps one refusal for whoever asks first.
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
                connection.close()
                raise ServiceError(f"the server offers no SFTP: {str(exc) or type(exc).__name__}") from exc
        return Wire(channel)

    def _back(self, state: "_Lane", wire: Wire) -> None:
        with state.changed:
            state.busy.discard(wire)
            if wire.is_clean and not self._closed:
                state.idle.append(wire)
            else:
                wire.close()
            connection = state.connection if wire.is_stalled else None
            if connection is not None:
                state.connection = None
            state.changed.notify()
        if connection is not None:
            connection.close()

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

    def pick(self, keeping: object) -> Wire | None:
        """Take one that is idle, the one that was used last if none keeps that; under the lock."""
        for wire in [wire for wire in self.idle if not wire.is_clean]:
            self.idle.remove(wire)
            wire.close()
        for wire in self.idle:
            if keeping in wire.kept:
                self.idle.remove(wire)
                return wire
        return self.idle.pop() if self.idle else None
