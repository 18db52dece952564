"""Mount points: what is mounted there, whether one may mount there, and taking a mount away.

A stat of a mount can block for ever (a daemon that hangs, or our own loop that would have to answer it), so what can
be read from /proc/self/mountinfo is read there, and the rest is asked by a child process that may be left behind.
"""

import ctypes
import errno
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass

from onitufs.model.errors import NoDaemon

TYPE = "fuse.onitufs"
CONNECTIONS = "/sys/fs/fuse/connections"
_PROBE = "import os,sys\ntry: os.statvfs(sys.argv[1])\nexcept OSError as e: sys.exit(e.errno)"
_PROBE_S = 5.0
DEAD = (errno.ENOTCONN, errno.ECONNABORTED)
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_FUSE_CONF = "/etc/fuse.conf"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mounted:
    """What one sees at a mount point. `connection`: its directory below /sys/fs/fuse/connections."""

    type: str
    source: str
    connection: str


def mounted_at(point: str) -> Mounted | None:
    """The uppermost mount at an absolute, resolved path, by the kernel's own list. Never blocks."""
    found = None
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            fields = line.rstrip(b"\n").split(b" ")
            if _plain(fields[4]) == point:
                rest = fields[fields.index(b"-", 6) + 1 :]  # any number of optional fields comes before
                found = Mounted(_plain(rest[0]), _plain(rest[1]), fields[2].partition(b":")[2].decode())
    return found


def _plain(field: bytes) -> str:
    """A field of mountinfo without its octal escapes (blank, tab, newline, backslash)."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field))


def resolved(point: str) -> str:
    """The absolute path of a mount point, without touching what is mounted there."""
    point = os.path.abspath(point)
    above, name = os.path.split(point)
    path = os.path.join(os.path.realpath(above), name)
    return path if mounted_at(path) else os.path.realpath(path)


def prepare(point: str) -> str:
    """Make sure that one can mount there, first clearing a dead mount of ours. Returns the resolved path. Blocking.

    Raises NoDaemon that says what is in the way and what to do about it.
    """
    need_fuse()
    path = resolved(point)
    while (there := mounted_at(path)) is not None and there.type == TYPE:
        state = ask(path)
        if state is None:
            raise NoDaemon(
                f"{path}: what is mounted there does not answer; take it away with 'fusermount3 -uz {path}' first"
            )
        if state not in DEAD:
            raise NoDaemon(
                f"{path}: {there.source} is mounted there already; end that with 'onitufs umount {path}' first"
            )
        detach(path)
    _need_directory(path)
    return path


def ask(path: str) -> int | None:
    """The errno of a statvfs, 0 if it works, None if there is no answer in time.

    Not of a stat: the kernel answers that from its cache for minutes after the daemon died.
    """
    child = subprocess.Popen(  # noqa: S603  our own words and a path as one argument
        [sys.executable, "-IS", "-c", _PROBE, path], stdin=subprocess.DEVNULL
    )
    try:
        return child.wait(_PROBE_S)
    except subprocess.TimeoutExpired:
        child.kill()  # it may sit in the kernel and not even end by that: it is not waited for
        return None


def need_fuse() -> None:
    """Raises NoDaemon if this machine or user cannot mount with FUSE at all."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        raise NoDaemon(
            "/dev/fuse is missing: load the kernel module with 'modprobe fuse' (a container needs '--device /dev/fuse')"
        ) from None
    except OSError as error:
        raise NoDaemon(
            f"/dev/fuse cannot be opened ({error.strerror}): load the module with 'modprobe fuse', and let your user "
            "read and write the device (a container needs '--device /dev/fuse --cap-add SYS_ADMIN')"
        ) from None
    if os.geteuid() == 0:
        return
    helper = shutil.which("fusermount3")
    if helper is None:
        raise NoDaemon("fusermount3 is missing: install the package fuse3")
    found = os.stat(helper)
    if found.st_uid != 0 or not found.st_mode & stat.S_ISUID:
        raise NoDaemon(
            f"{helper} is not setuid root, so only root can mount: 'chown root {helper}; chmod 4755 {helper}'"
        )


def need_allow_other() -> None:
    """Raises NoDaemon if this user may not let other users in."""
    if os.geteuid() == 0:
        return
    try:
        with open(_FUSE_CONF) as file:
            if any(line.split("#")[0].strip() == "user_allow_other" for line in file):
                return
    except OSError:
        pass  # no such file: the same answer
    raise NoDaemon(
        f"allow_other is not permitted to users here: root must add the line 'user_allow_other' to {_FUSE_CONF}"
    )


def _need_directory(path: str) -> None:
    try:
        with os.scandir(path) as entries:
            empty = next(entries, None) is None
    except FileNotFoundError:
        raise NoDaemon(f"{path}: no such directory; make it with 'mkdir -p {path}'") from None
    except NotADirectoryError:
        raise NoDaemon(f"{path}: is not a directory; name an empty one") from None
    except OSError as error:
        remedy = f"; take away what is mounted there with 'fusermount3 -uz {path}'" if error.errno in DEAD else ""
        raise NoDaemon(f"{path}: {error.strerror}{remedy}") from None
    if not empty:
        raise NoDaemon(f"{path}: is not empty, and what is in it would be hidden; name an empty directory")
    if not os.access(path, os.W_OK):
        raise NoDaemon(f"{path}: you may not write there, and only who may can mount on it; choose one of your own")


def unmount(path: str, connection: str = "") -> bool:
    """Unmount, which first brings what the kernel holds back to the daemon. False if it is in use.

    With a `connection` that mount only: one that others made in its place stays. Blocking, and answered by the daemon:
    never on its loop. Raises NoDaemon if it is not possible at all.
    """
    return _umount(path, connection, 0)


def detach(path: str, connection: str = "") -> None:
    """Take the mount out of the tree at once; programs that use it go on until they end. `connection` as for unmount.
    Raises NoDaemon."""
    if not _umount(path, connection, _MNT_DETACH):
        raise NoDaemon(f"{path}: cannot be detached; try 'umount -l {path}' as root")


def abort(connection: str) -> None:
    """Fail all calls that still wait for an answer in a connection, threads of ours among them: else a process that
    ends with such a thread stays, and with it everybody who waits for an answer of it.

    Source: Documentation/filesystems/fuse.rst of the kernel, "Aborting a filesystem connection".
    """
    try:
        with open(f"{CONNECTIONS}/{connection}/abort", "w") as file:
            file.write("1")
    except OSError as error:
        log.warning("connection %s cannot be aborted: %s", connection or "(unknown)", error)


def _is_ours(path: str, connection: str) -> bool:
    there = mounted_at(path)
    return there is not None and there.type == TYPE and connection in ("", there.connection)


def _umount(path: str, connection: str, flags: int) -> bool:
    if not _is_ours(path, connection):
        return True  # somebody else was quicker; what may be there now, as an automount, is not ours
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.umount2(os.fsencode(path), flags | _UMOUNT_NOFOLLOW) == 0:
            return True
        number = ctypes.get_errno()
        if number == errno.EBUSY:
            return False
        if number == errno.EINVAL and not _is_ours(path, connection):
            return True  # somebody else was quicker
        raise NoDaemon(f"{path}: cannot be unmounted: {os.strerror(number)}")
    lazy = ["-z"] if flags & _MNT_DETACH else []
    done = subprocess.run(  # noqa: S603  our own words and a path as one argument
        [shutil.which("fusermount3") or "/usr/bin/fusermount3", "-u", *lazy, "--", path],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode == 0 or not _is_ours(path, connection):
        return True
    reason = done.stderr.decode(errors="backslashreplace").strip()
    if os.strerror(errno.EBUSY) in reason:
        return False
    raise NoDaemon(f"{path}: cannot be unmounted: {reason}")
