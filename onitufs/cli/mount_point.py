"""Whether a directory can be mounted on, asked before anything is started, so that the answer comes at once."""

import os
import select
import signal

from onitufs.control import runtime
from onitufs.fuse import mount_points
from onitufs.model.errors import AlreadyRunning, NoDaemon

FAREWELL_S = 60  # what a daemon without a mount gets to end: syncing and folding


def usable(mountpoint: str, *, allow_other: bool) -> str:
    """The resolved mount point; what a dead daemon left there is cleared.

    A daemon that was unmounted and still places is told to leave the rest to us. Raises AlreadyRunning if a daemon of
    ours serves it, NoDaemon that says what else is in the way.
    """
    point = mount_points.resolved(mountpoint)
    for daemon in runtime.running():
        if daemon.mount == point:
            there = mount_points.mounted_at(point)
            if there is not None and there.type == mount_points.TYPE:
                raise AlreadyRunning(
                    f"{mountpoint}: {daemon.setup} is mounted there already (pid {daemon.pid});"
                    f" end that with `onitufs umount {mountpoint}` first"
                )
            _end(daemon)
    if allow_other:
        mount_points.need_allow_other()
    return mount_points.prepare(point)


def _end(daemon: runtime.Daemon) -> None:
    try:
        process = os.pidfd_open(daemon.pid)
    except ProcessLookupError:
        return
    try:
        if runtime.start_time(daemon.pid) == daemon.started:  # and not another that got its number
            signal.pidfd_send_signal(process, signal.SIGTERM)
            if not select.select([process], [], [], FAREWELL_S)[0]:
                raise NoDaemon(
                    f"{daemon.mount}: was unmounted, but its daemon (pid {daemon.pid}) has not ended after"
                    f" {FAREWELL_S} s: see {daemon.state}/log/onitufs.log"
                )
    finally:
        os.close(process)
