"""Mounting as root for somebody else: the kernel is told that the mount is theirs, and whoever serves it needs no root.

What libfuse does by way of fusermount3 has to do as a user: the mount point must be the user's, allow_other needs
user_allow_other, and nothing can be mounted over an automount. Root may do all of it, and then gives the open
connection to a process that has become the user. Source: mount(2), fuse(4), fuse.rst in the kernel's documentation.
"""

import ctypes
import os
import stat

from onitufs.model.errors import NoDaemon

from . import mount_points
from .mounting import Options

_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8


def connect(point: str, options: Options, *, uid: int, gid: int) -> int:
    """Mount at `point`, as mount_points.prepare returned it, for a user; only root can. Returns the open connection.

    Nobody answers there before it is served (mounting.mounted with this connection). Always nosuid and nodev: it is
    not root who decides what is in it. Raises NoDaemon with a remedy.
    """
    directory = os.open(point, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _need_right(directory, point, uid)
        connection = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        try:
            _mount(directory, connection, options, uid, gid)
        except OSError as error:
            os.close(connection)
            raise NoDaemon(f"{point}: cannot mount: {error.strerror}") from error
    finally:
        os.close(directory)
    return connection


def _mount(directory: int, connection: int, options: Options, uid: int, gid: int) -> None:
    data = f"fd={connection},rootmode={stat.S_IFDIR:o},user_id={uid},group_id={gid},default_permissions"
    data += ",allow_other" if options.allow_other else ""
    flags = _NOSUID | _NODEV | (0 if options.exec else _NOEXEC) | (_RDONLY if options.read_only else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    # by the descriptor: nobody can put another directory in its place now that it was looked at
    target = f"/proc/self/fd/{directory}".encode()
    source, kind = os.fsencode(options.source), mount_points.TYPE.encode()
    if libc.mount(source, target, kind, ctypes.c_ulong(flags), data.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _need_right(directory: int, point: str, uid: int) -> None:
    """Whoever could have put this directory at this path must be allowed to have something mounted on it.

    It is the user's own, or an automount that root has set up, or its path is in root's hands alone.
    """
    if os.readlink(f"/proc/self/fd/{directory}") != point:
        raise NoDaemon(f"{point}: somebody moves directories on the way there; try again")
    found = os.fstat(directory)
    if found.st_uid == uid:
        return
    there = mount_points.mounted_at(point)
    if there is not None and there.type == "autofs":
        return
    if found.st_uid == 0 and all(_is_roots(above) for above in _directories_above(point)):
        return
    raise NoDaemon(
        f"{point}: belongs to uid {found.st_uid}, and the mount is to be of uid {uid}: give it to that user with"
        f" 'chown {uid} {point}', or choose one that, with all directories above it, belongs to root"
    )


def _directories_above(path: str) -> list[str]:
    above = []
    while path != "/":
        path = os.path.dirname(path)
        above.append(path)
    return above


def _is_roots(path: str) -> bool:
    found = os.lstat(path)
    return found.st_uid == 0 and (not found.st_mode & 0o022 or bool(found.st_mode & stat.S_ISVTX))
