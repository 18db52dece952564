"""Becoming the daemon in the background, and knowing when it is up: the starter's half and the daemon's half.

The daemon is a fork, made before there is any thread, event loop or database: all that was imported by then need not be
imported again. Through a pipe it says lines of JSON: {"log": PATH} once there is a log, then {"ready": true} or
{"error": TEXT, "exit": N}. The pipe's end without either means that it died; what it last wrote to stderr is then all
there is to say. Through another pipe the starter may give it what was worked out meanwhile on another processor.

It stays in the process group of who started it until it is ready: systemd lets only that group touch a mount point for
which an automount is waiting; anybody else who looks at it would wait for the mount, and the mount for them.
"""

import contextlib
import json
import logging
import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

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


# -- the starter's half -----------------------------------------------------------------------------------------------


def start(
    daemon: "Callable[[Caller], int]",
    *,
    gift: Callable[[], object] | None = None,
    kept: tuple[int, ...] = (),
    patience_s: float = PATIENCE_S,
) -> int:
    """Run `daemon` in the background, as a process of its own that works in /, until it says that it is ready.

    Of the open files it has only `kept`, which are closed here. `gift` is called here while the daemon comes up; what
    it returns is what Caller.receive() returns there. Returns the daemon's pid. Raises NotStarted, and what `gift`
    raises. Interrupted: the daemon is told to end. Not to be called where threads run.
    """
    assert threading.active_count() == 1
    ours, theirs = os.pipe()
    give_out, give_in = os.pipe()
    stdio = os.memfd_create("onitufs-stdio")  # what is said before there is a log
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or it would be written twice
    pid = os.fork()
    if pid == 0:
        _be(daemon, theirs, give_out, stdio, kept)
    process = os.pidfd_open(pid)  # nobody else has this number before we have collected it
    try:
        os.close(theirs)
        os.close(give_out)
        for open_fd in kept:
            os.close(open_fd)
        try:
            try:
                given = pickle.dumps(gift() if gift is not None else None)
                with contextlib.suppress(BrokenPipeError):  # how it died is told below
                    _write(give_in, given)
            finally:
                os.close(give_in)
            _await_ready(pid, process, ours, stdio, patience_s)
        except BaseException:
            _end(process)
            raise
    finally:
        os.close(process)
        os.close(ours)
        os.close(stdio)
    return pid


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _be(daemon: "Callable[[Caller], int]", pipe: int, gift: int, stdio: int, kept: tuple[int, ...]) -> NoReturn:
    """The fork: nothing of the starter's is left open, and nothing of its stack is ever returned to."""
    status = 1
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        for fd, standard in ((null, 0), (stdio, 1), (stdio, 2)):
            os.dup2(fd, standard)
        first = 3
        for open_fd in sorted((pipe, gift, *kept)):
            os.closerange(first, open_fd)
            first = open_fd + 1
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))
        os.chdir("/")
        sys.path[:] = [path for path in sys.path if os.path.isabs(path)]  # "" would now mean /
        status = daemon(Caller(pipe, gift))
    except BaseException:  # noqa: BLE001  the border of the process
        traceback.print_exc()
    finally:
        logging.shutdown()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _await_ready(pid: int, process: int, readable: int, stdio: int, patience_s: float) -> None:
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
                f"the daemon (pid {pid}) was not ready after {patience_s:g} s and is stopped{_see(log)}",
                Exit.NO_DAEMON,
            )
        received = os.read(readable, 64 * 1024)
        if not received:
            raise NotStarted(_how_it_died(process, stdio) + _see(log), Exit.BUG)
        buffer += received


def _end(process: int) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has ended, and was collected
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if not select.select([process], [], [], MERCY_S)[0]:
            signal.pidfd_send_signal(process, signal.SIGKILL)
        os.waitid(os.P_PIDFD, process, os.WEXITED)


def _how_it_died(process: int, stdio: int) -> str:
    ended = os.waitid(os.P_PIDFD, process, os.WEXITED)
    assert ended is not None
    if ended.si_code == os.CLD_EXITED:
        how = f"ended with status {ended.si_status}"
    else:
        how = f"was killed by {signal.Signals(ended.si_status).name}"
    said = os.pread(stdio, 1024 * 1024, 0).decode(errors="replace").strip().splitlines()
    return f"the daemon {how} before it was ready" + (f": {said[-1]}" if said else "")


def _see(log: str) -> str:
    return f" (see {log})" if log else ""


# -- the daemon's half ----------------------------------------------------------------------------------------------


class Caller:
    """Whoever started us and waits at the other end of the pipe; without one (`fd` None) nothing is said."""

    def __init__(self, fd: int | None = None, gift: int | None = None) -> None:
        self._fd = fd
        self._gift = gift

    @property
    def waits(self) -> bool:
        return self._fd is not None

    def receive(self) -> Any:
        """What the starter's `gift` returned; None without one. Blocks until it is there. SystemExit: it never will."""
        if self._gift is None:
            return None
        with open(self._gift, "rb") as file:
            given = file.read()
        self._gift = None
        if not given:
            raise SystemExit("who started us gave up")
        return pickle.loads(given)  # noqa: S301  our own process wrote it

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
        """Tell, and leave the starter's session. Raises nothing."""
        if self._fd is not None:
            with contextlib.suppress(PermissionError):  # we lead a group already
                os.setsid()
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
