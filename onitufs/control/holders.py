"""Which processes keep a mount point in use, as far as /proc lets us see. Source: proc(5)."""

import contextlib
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Holder:
    pid: int
    command: str  # of at most 15 letters; the process chose it
    what: str  # one path in the mount, or the mount point


def holders(mount: str) -> list[Holder]:
    """Processes with an open file, a working directory, a root or a program in the mount. Asks no file system."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            what = next((path for path in _paths(f"/proc/{name}") if _is_inside(path, mount)), None)
            if what is not None:
                found.append(Holder(int(name), _command(name), what))
    return found


def _paths(process: str) -> list[str]:
    links = [f"{process}/cwd", f"{process}/root", f"{process}/exe"]
    with contextlib.suppress(OSError):  # it ended, or it is somebody else's
        links += [f"{process}/fd/{fd}" for fd in os.listdir(f"{process}/fd")]
    paths = []
    for link in links:
        with contextlib.suppress(OSError):
            paths.append(os.readlink(link))
    return paths


def _is_inside(path: str, mount: str) -> bool:
    return path == mount or path.startswith(mount.rstrip("/") + "/")


def _command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="surrogateescape") as file:
            return file.read().rstrip("\n")
    except OSError:
        return "?"
