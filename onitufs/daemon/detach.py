"""Starting the daemon in the background, and knowing when it is up: the caller's half and the daemon's half.

The program is started afresh (LMDB and threads must not cross a fork) in a session of its own, with one end of a pipe.
Through it come lines of JSON: {"log": PATH} once there is a log, then {"ready": true} or {"error": TEXT, "exit": N}.
The pipe's end without either means that the daemon died; what it last wrote to stderr is then all there is to say.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from onitufs.model.errors import Exit, OnituError

PATIENCE_S = 300.0  # a replay takes seconds; a disk that is waking up or checked, minutes
MERCY_S = 10.0  # from SIGTERM to SIGKILL
STDIO_FILE = "stdio.log"
LARGEST_STDIO = 1024 * 1024
Message = dict[str, object]


class NotStarted(OnituError):
    """The daemon did not come up. `problems` (lines for a person) and `exit_status` are its own where it could tell."""

    def __init__(self, message: str, exit_status: Exit) -> None:
        super().__init__(message)
        self.exit_status = exit_status
        self.problems = message.splitlines()


# -- the caller's half ----------------------------------------------------------------------------------------------


def start(module: str, arguments: list[str], *, patience_s: float = PATIENCE_S) -> int:
    """Run `python -m module *arguments --ready-fd N` in the background until it says that it is ready.

    Returns its pid. Raises NotStarted. Interrupted: the daemon is told to end. All paths among the arguments have to
    be absolute: it runs in /.
    """
    readable, writable = os.pipe()
    stdio = os.memfd_create("onitufs-stdio")  # what is said before there is a log
    try:
        daemon = subprocess.Popen(  # noqa: S603
            # -P: nothing is imported from the current directory
            [sys.executable, "-P", "-m", module, *arguments, "--ready-fd", str(writable)],
            stdin=subprocess.DEVNULL, stdout=stdio, stderr=stdio, cwd="/", start_new_session=True,
            pass_fds=(writable,),
        )  # fmt: skip
        os.close(writable)
        writable = -1
        try:
            _await_ready(daemon, readable, stdio, patience_s)
        except BaseException:
            _end(daemon)
            raise
    finally:
        os.close(readable)
        os.close(stdio)
        if writable >= 0:
            os.close(writable)
    pid = daemon.pid
    daemon.returncode = 0  # it goes on without us, so Popen has nothing to warn of
    return pid


def _await_ready(daemon: "subprocess.Popen[bytes]", readable: int, stdio: int, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    buffer = b""
    log = ""
    while True:
        line, newline, rest = buffer.partition(b"\n")
        if newline:
            buffer = rest
            message = json.loads(line)
            log = message.get("log", log)
            if "error" in message:
                raise NotStarted(str(message["error"]), Exit(message["exit"]))
            if message.get("ready"):
                return
            continue
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([readable], [], [], left_s)[0]:
            raise NotStarted(
                f"the daemon (pid {daemon.pid}) was not ready after {patience_s:g} s and is stopped{_see(log)}",
                Exit.NO_DAEMON,
            )
        received = os.read(readable, 64 * 1024)
        if not received:
            raise NotStarted(_how_it_died(daemon, stdio) + _see(log), Exit.BUG)
        buffer += received


def _end(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.send_signal(signal.SIGTERM)  # nothing happens if it has ended
    try:
        daemon.wait(MERCY_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _how_it_died(daemon: "subprocess.Popen[bytes]", stdio: int) -> str:
    status = daemon.wait()
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    said = os.pread(stdio, 1024 * 1024, 0).decode(errors="replace").strip().splitlines()
    return f"the daemon {how} before it was ready" + (f": {said[-1]}" if said else "")


def _see(log: str) -> str:
    return f" (see {log})" if log else ""


# -- the daemon's half ----------------------------------------------------------------------------------------------


class Caller:
    """Whoever started us and waits at the other end of the pipe; without one (`fd` None) nothing is said."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        if fd is not None:
            os.set_inheritable(fd, False)

    @property
    def waits(self) -> bool:
        return self._fd is not None

    def log_is(self, log: Path) -> None:
        """Name the log, and send what goes to stdout and stderr to a file beside it from now on. Raises OSError."""
        if self._fd is None:
            return
        self._say({"log": str(log)})
        path = log.with_name(STDIO_FILE)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        if os.fstat(fd).st_size > LARGEST_STDIO:
            os.truncate(fd, 0)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)

    def ready(self) -> None:
        self._say({"ready": True}, last=True)

    def failed(self, message: str, exit_status: int) -> None:
        known = exit_status in set(Exit)
        self._say({"error": message, "exit": int(exit_status if known else Exit.BUG)}, last=True)

    def _say(self, message: Message, *, last: bool = False) -> None:
        if self._fd is None:
            return
        with contextlib.suppress(OSError):  # the caller was interrupted; it has told us to end
            os.write(self._fd, json.dumps(message).encode() + b"\n")
        if last:
            os.close(self._fd)
            self._fd = None
