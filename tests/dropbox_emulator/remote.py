"""A test's end of the control port."""

import base64
import json
import socket
import threading
from collections.abc import Sequence
from typing import Any

Entries = list[dict[str, Any]]


class Refusal(Exception):
    """The emulator says that this cannot be."""


class Control:
    """Every command of `control.Commands` as a method with the same arguments; file contents as bytes.

    Blocking, and callable from several threads: each has a connection of its own.
    """

    def __init__(self, port: int, timeout_s: float = 30) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._mine = threading.local()
        self._sockets: list[Any] = []

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def _connection(self) -> tuple[socket.socket, Any]:
        if not hasattr(self._mine, "connection"):
            connected = socket.create_connection(("127.0.0.1", self._port), self._timeout_s)
            lines = connected.makefile("rb")
            self._sockets += [lines, connected]
            self._mine.connection = (connected, lines)
        return self._mine.connection

    def do(self, command: str, **arguments: Any) -> Any:
        """Raises Refusal, TimeoutError."""
        connected, lines = self._connection()
        connected.sendall(json.dumps({"do": command, **arguments}).encode() + b"\n")
        answer = json.loads(lines.readline())
        if "wrong" in answer:
            raise Refusal(answer["wrong"])
        return answer["is"]

    def __getattr__(self, command: str) -> Any:
        if command.startswith("_"):
            raise AttributeError(command)
        return lambda **arguments: self.do(command, **arguments)

    # -- another program on the account -------------------------------------------------------------------------------

    def write(self, path: str, data: bytes, account: str | None = None) -> dict[str, Any]:
        return self.do("write", path=path, data=base64.b64encode(data).decode(), account=account)

    def mkdir(self, path: str, account: str | None = None) -> dict[str, Any]:
        return self.do("mkdir", path=path, account=account)

    def move(self, from_path: str, to_path: str, account: str | None = None) -> dict[str, Any]:
        return self.do("move", from_path=from_path, to_path=to_path, account=account)

    def copy(self, from_path: str, to_path: str, account: str | None = None) -> dict[str, Any]:
        return self.do("copy", from_path=from_path, to_path=to_path, account=account)

    def delete(self, path: str, account: str | None = None) -> Sequence[str]:
        return self.do("delete", path=path, account=account)

    def read(self, path: str, account: str | None = None) -> bytes:
        return base64.b64decode(self.do("read", path=path, account=account))

    def stat(self, path: str, account: str | None = None) -> dict[str, Any]:
        return self.do("stat", path=path, account=account)

    def list(self, path: str = "", account: str | None = None) -> Entries:
        return self.do("list", path=path, account=account)

    def past(self, account: str | None = None) -> Sequence[bytes]:
        return [base64.b64decode(data) for data in self.do("past", account=account)]

    def mark(self, path: str, **flags: Any) -> None:
        self.do("mark", path=path, **flags)

    def recase(self, path: str, name: str) -> None:
        self.do("recase", path=path, name=name)

    # -- steering -----------------------------------------------------------------------------------------------------

    def fault(self, route: str, **what: Any) -> None:
        self.do("fault", route=route, **what)

    def journal(self, route: str | None = None, since: int = 0) -> Entries:
        return self.do("journal", route=route, since=since)

    def wait_for_call(self, route: str, *, since: int = 0, count: int = 1, over: bool = True) -> Entries:
        return self.do("wait_for_call", route=route, since=since, count=count, over=over)

    def advance(self, seconds: float) -> None:
        self.do("advance", seconds=seconds)

    def authorize(self, url: str, account: str | None = None) -> str:
        return self.do("authorize", url=url, account=account)

    def release(self, gate: str) -> None:
        self.do("release", gate=gate)

    def wait_at_gate(self, gate: str, count: int = 1) -> None:
        self.do("wait_at_gate", gate=gate, count=count)
