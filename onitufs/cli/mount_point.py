"""Whether a directory can be mounted on, asked before anything is started, so that the answer comes at once."""

from onitufs.control import runtime
from onitufs.fuse import mount_points
from onitufs.model.errors import AlreadyRunning


def usable(mountpoint: str, *, allow_other: bool) -> str:
    """The resolved mount point; what a dead daemon left there is cleared.

    Raises AlreadyRunning if a daemon of ours serves it, NoDaemon that says what else is in the way.
    """
    point = mount_points.resolved(mountpoint)
    for daemon in runtime.running():
        if daemon.mount == point:
            raise AlreadyRunning(
                f"{mountpoint}: {daemon.setup} is mounted there already (pid {daemon.pid});"
                f" end that with `onitufs umount {mountpoint}` first"
            )
    if allow_other:
        mount_points.need_allow_other()
    return mount_points.prepare(point)
