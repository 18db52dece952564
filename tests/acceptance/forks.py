"""`onitufs` in processes of its own, forked off one that has imported it already.

A mount imports for most of a second of a processor, and the tests make many hundreds of them. What runs is the same
main(), with the same arguments, environment and files; it only did not begin with an empty interpreter. (Whether it
comes up from one is what tests/cli sees, and whatever is `afresh`.)

Run as a script this is the process that forks: `forks.py SOCKET`. Over that socket it gets, with descriptors for stdin,
stdout, stderr and the outcome, {"command": [...], "environment": {...}, "directory": ...}. To the outcome it writes the
pid of the fork and, when that has ended, its exit status, in a line each. It ends when the socket does.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LARGEST = 512 * 1024  # a request in bytes: most of it the environment
READ_WHEN_IMPORTED = ("DROPBOX_", "PYTHON")  # beginnings of variables


# -- who asks ---------------------------------------------------------------------------------------------------------


def run(
    command: Sequence[str], *, text: str, timeout_s: float, environment: Mapping[str, str], directory: Path
) -> "subprocess.CompletedProcess[str]":
    """As subprocess.run(command, capture_output=True, text=True, ...) does it. Raises TimeoutExpired as that does."""
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    ours, theirs = socket.socketpair()
    try:
        os.pwrite(files[0], text.encode(), 0)
        request = {"command": list(command), "environment": dict(environment), "directory": str(directory)}
        imported_with = {name: value for name, value in environment.items() if name.startswith(READ_WHEN_IMPORTED)}
        socket.send_fds(
            _forker(tuple(sorted(imported_with.items()))), [json.dumps(request).encode()], [*files, theirs.fileno()]
        )
        theirs.close()
        with ours.makefile("r") as outcome:
            pid = int(outcome.readline())
            ended = select.poll()  # select() takes no descriptor above 1023
            ended.register(ours, select.POLLIN)
            late = not ended.poll(timeout_s * 1000)
            if late:
                os.kill(pid, signal.SIGKILL)
            status = int(outcome.readline())
        out, err = (os.pread(file, os.fstat(file).st_size, 0).decode() for file in files[1:])
        if late:
            raise subprocess.TimeoutExpired(command, timeout_s, out, err)
        return subprocess.CompletedProcess(command, status, out, err)
    finally:
        ours.close()
        theirs.close()
        for file in files:
            os.close(file)


@functools.cache
def _forker(imported_with: tuple[tuple[str, str], ...]) -> socket.socket:
    """The end of the socket at which it is asked; started when it is first needed, for all tests of this process."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(READ_WHEN_IMPORTED)}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
    process = subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/",
        env=others | {"LC_ALL": "C.UTF-8"} | dict(imported_with),
    )  # fmt: skip
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# -- who forks --------------------------------------------------------------------------------------------------------


def _serve(asked: socket.socket) -> list[str]:
    """Fork for each request. Returns in each fork, which has become what was asked for: its command."""
    outcomes: dict[int, tuple[int, socket.socket]] = {}  # by a descriptor of the process: its pid, who wants to know
    while True:
        ready = select.select([asked, *outcomes], [], [])[0]
        for process in ready:
            if process is not asked:
                pid, outcome = outcomes.pop(process)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                os.close(process)
                _tell(outcome, status)
                outcome.close()
        if asked not in ready:
            continue
        data, fds, _, _ = socket.recv_fds(asked, LARGEST, 4)
        if not data:
            sys.exit(0)
        pid = os.fork()
        if pid == 0:
            for inherited in (asked, *(outcome for _, outcome in outcomes.values())):
                inherited.detach()  # closed in _become()
            return _become(json.loads(data), fds)
        outcome = socket.socket(fileno=fds[3])
        for fd in fds[:3]:
            os.close(fd)
        outcomes[os.pidfd_open(pid)] = pid, outcome
        _tell(outcome, pid)


def _tell(outcome: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # who asked has gone
        outcome.send(f"{number}\n".encode())


def _become(request: dict[str, object], fds: list[int]) -> list[str]:
    for standard, fd in enumerate(fds[:3]):
        os.dup2(fd, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.chdir(str(request["directory"]))
    command = request["command"]
    assert isinstance(command, list)
    return command


def _import_all() -> None:
    import onitufs

    for module in pkgutil.walk_packages(onitufs.__path__, "onitufs."):
        if "conformance" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # or each fork would soon have copies of all of it


if __name__ == "__main__":
    del sys.path[0]  # this directory: the installed program does not see it
    _import_all()
    sys.argv[:] = _serve(socket.socket(fileno=int(sys.argv[1])))
    from onitufs.cli import main

    status = main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)  # taking apart all that was imported would take longer than most commands
