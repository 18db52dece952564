"""The asking end of the control socket: blocking, with nothing but the standard library."""

import os
import socket
import struct
import time
from collections.abc import Iterator
from types import TracebackType

from onitufs.model.errors import Exit, NoDaemon, OnituError

from . import protocol, runtime
from .protocol import Fields

PATIENCE_S = 30.0  # a daemon answers at once or, asked to wait, says nothing for as long as it takes
CREDENTIALS = struct.Struct("3i")  # pid, uid, gid. Source: unix(7), SO_PEERCRED


class Refused(OnituError):
    """The daemon answered with an error; str() and `exit_status` are its own."""

    def __init__(self, message: str, exit_status: Exit) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class Silent(OnituError):
    """Nothing came within the time given to receive()."""

    exit_status = Exit.NO_DAEMON


class Conversation:
    """One connection to a daemon; one question at a time. Closing it calls the running question off."""

    def __init__(self, daemon: runtime.Daemon) -> None:
        """Raises NoDaemon if nobody answers there."""
        self.daemon = daemon
        self._who = f"the daemon of {daemon.mount} (pid {daemon.pid})"
        self._buffer = bytearray()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(PATIENCE_S)
            directory = os.open(daemon.directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:  # by way of a descriptor: an address has 107 bytes only, a home directory may be deeper
                self._socket.connect(f"/proc/self/fd/{directory}/{daemon.socket_name}")
            finally:
                os.close(directory)
            raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        except OSError as error:
            self._socket.close()
            raise NoDaemon(f"{self._who} does not answer: {error.strerror or error}") from error
        if CREDENTIALS.unpack(raw)[1] != daemon.uid:
            self._socket.close()
            raise NoDaemon(f"{daemon.directory}/{daemon.socket_name}: somebody else listens there")

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, do: str, *, patience_s: float | None = PATIENCE_S, **arguments: object) -> Fields:
        """Put one question and return its one answer. Raises Refused, NoDaemon."""
        self.send(do, **arguments)
        try:
            answer = self.receive(patience_s)
        except Silent:
            raise NoDaemon(
                f"{self._who} has not answered for {patience_s:g} s: see {self.daemon.state}/log/onitufs.log"
            ) from None
        if answer is None:
            raise NoDaemon(f"{self._who} has nothing to say to {do!r}")
        return answer

    def stream(self, do: str, **arguments: object) -> Iterator[Fields]:
        """Put one question and yield its answers as they come. Raises Refused, NoDaemon."""
        self.send(do, **arguments)
        while (answer := self.receive(None)) is not None:
            yield answer

    def send(self, do: str, **arguments: object) -> None:
        """Put one question; None and absent are the same. Raises NoDaemon."""
        line = protocol.encode({"do": do, **{name: value for name, value in arguments.items() if value is not None}})
        try:
            self._socket.settimeout(PATIENCE_S)
            self._socket.sendall(line)
        except (BrokenPipeError, ConnectionResetError):
            pass  # why it hung up is still to be read
        except OSError as error:
            raise NoDaemon(f"{self._who} does not listen: {error.strerror or error}") from error

    def receive(self, patience_s: float | None) -> Fields | None:
        """The next answer, or None after the last of a stream. Raises Silent after `patience_s`, Refused, NoDaemon."""
        try:
            fields = protocol.decode(self._line(patience_s))
        except protocol.Garbled as error:
            raise NoDaemon(f"{self._who}: {error}") from error
        if isinstance(refusal := fields.get("error"), dict):
            number = refusal.get("exit")
            raise Refused(str(refusal.get("message")), Exit(number) if number in set(Exit) else Exit.BUG)
        if fields.get("end"):
            return None
        if not isinstance(answer := fields.get("ok"), dict):
            raise NoDaemon(f"{self._who} gave no answer")
        return answer

    def _line(self, patience_s: float | None) -> bytes:
        deadline = None if patience_s is None else time.monotonic() + patience_s
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > protocol.LONGEST_ANSWER:
                raise protocol.Garbled("an answer without end")
            try:
                # 0 would mean non-blocking: the smallest wait there is
                self._socket.settimeout(None if deadline is None else max(deadline - time.monotonic(), 1e-6))
                received = self._socket.recv(256 * 1024)
            except TimeoutError:
                raise Silent(f"{self._who} says nothing") from None
            except OSError as error:
                raise NoDaemon(f"{self._who} ended before it answered: {error.strerror or error}") from error
            if not received:
                raise NoDaemon(f"{self._who} ended before it answered")
            self._buffer += received
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line
