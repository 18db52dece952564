"""Whether a directory can be mounted on, asked before anything is started, so that the answer is plain."""

import errno
import os
import shutil

from onitufs.control import mounts, runtime
from onitufs.model.errors import AlreadyRunning, NoDaemon


def usable(mountpoint: str, *, allow_other: bool) -> str:
    """The resolved mount point. A mount there whose daemon is dead counts as usable: the next one clears it.

    Raises NoDaemon, or AlreadyRunning if a daemon serves it.
    """
    point = os.path.realpath(mountpoint)
    for daemon in runtime.running():
        if daemon.mount == point:
            raise AlreadyRunning(
                f"{mountpoint}: {daemon.setup} is mounted there already (pid {daemon.pid}):"
                f" `onitufs umount {mountpoint}` ends that"
            )
    try:
        if not os.path.isdir(point):
            os.stat(point)
            raise NoDaemon(f"{mountpoint}: not a directory: choose one, or make one with `mkdir -p`")
        if not os.access(point, os.W_OK | os.X_OK):
            raise NoDaemon(f"{mountpoint}: you may not write there: `chown` it to you, or choose another mount point")
    except FileNotFoundError:
        raise NoDaemon(f"{mountpoint}: no such directory: `mkdir -p {mountpoint}` makes it") from None
    except OSError as error:
        if error.errno not in (errno.ENOTCONN, errno.ECONNABORTED) or mounts.at(point) is None:
            raise NoDaemon(f"{mountpoint}: cannot be mounted on: {error.strerror}") from error
    else:
        if (mount := mounts.at(point)) is not None:
            raise AlreadyRunning(f"{mountpoint}: {mount.source} is mounted there by uid {mount.uid}: `umount` it first")
    _rights(allow_other)
    return point


def _rights(allow_other: bool) -> None:
    if not os.path.exists("/dev/fuse"):
        raise NoDaemon("/dev/fuse is missing: `modprobe fuse` as root, or give this container the device")
    if os.geteuid() == 0:
        return
    if shutil.which("fusermount3") is None:
        raise NoDaemon("fusermount3 is missing: install the package fuse3")
    if allow_other and not _others_may_be_allowed():
        raise NoDaemon("allow_other is for root, unless /etc/fuse.conf has a line `user_allow_other`: add it as root")


def _others_may_be_allowed() -> bool:
    try:
        with open("/etc/fuse.conf", errors="replace") as file:
            return any(line.strip() == "user_allow_other" for line in file)
    except OSError:
        return False
