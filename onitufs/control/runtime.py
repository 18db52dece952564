"""Where running daemons can be found: one record and one socket for each, in a directory that only its owner enters.

    /run/onitufs/                               of root
    /run/user/UID/onitufs/                      of a user with a session
    HOME/.local/share/onitufs/.run/             of any other; HOME is the one in the passwd database

Nothing here is taken from the environment: a mount from fstab has none, and has to agree with every shell.
"""

import contextlib
import json
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from onitufs.model.errors import NoDaemon, OnituError, StateError

from . import mounts

_IN_HOME = ".local/share/onitufs/.run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """One running daemon. Paths are absolute, undecodable bytes as surrogates (os.fsencode gives the bytes)."""

    pid: int
    started: int  # clock ticks after boot, so that a pid that was given away again is told apart
    setup: str
    name: str
    mount: str
    state: str
    directory: str  # where its record and socket are
    uid: int

    @property
    def socket_name(self) -> str:
        return f"{self.pid}.socket"


class _NotRunning(OnituError):
    """The record of a daemon that has gone, or something that is no record."""


def home() -> str:
    """The home directory of who we are, by the passwd database. Raises StateError if it names none."""
    try:
        directory = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        directory = ""
    if not directory.startswith("/"):
        raise StateError(
            f"uid {os.geteuid()} has no home directory in the passwd database, where state and control socket would be:"
            " give it one with `usermod --home DIR`"
        )
    return directory


def state_directory(name: str) -> str:
    """Where the state of the setup called `name` lives unless --state says otherwise. Not made here."""
    return os.path.join(home(), ".local/share/onitufs", _as_file_name(name))


def _as_file_name(name: str) -> str:
    """A setup's name as one safe, visible file name; different names stay different."""
    quoted = "".join(c if c.isprintable() and c not in "/%" else "".join(f"%{b:02X}" for b in c.encode()) for c in name)
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted or "%"


def start_time(pid: int) -> int | None:
    """When the process began, in clock ticks after boot; None if none runs. Source: proc(5).

    One that has ended and was not collected yet (in a container, nobody may ever do so) runs no more.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except OSError:
        return None
    fields = line[line.rindex(b")") + 2 :].split()  # from the third on; the command name may hold blanks and brackets
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def own_directory() -> str:
    """The runtime directory of who we are. Not made here. Raises StateError where there can be none."""
    uid = os.geteuid()
    if uid == 0:
        return "/run/onitufs"
    session = f"/run/user/{uid}"
    with contextlib.suppress(OSError):
        found = os.lstat(session)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == uid:
            return f"{session}/onitufs"
    return os.path.join(home(), _IN_HOME)


def _open_directory(path: str, uid: int) -> int:
    """A descriptor of a runtime directory, after checking that nobody but `uid` can put anything in it.

    Raises FileNotFoundError, or StateError naming the remedy.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}: it has to be a directory of uid {uid}") from error
    found = os.fstat(fd)
    if found.st_uid != uid or found.st_mode & 0o077:
        os.close(fd)
        raise StateError(f"{path}: has to belong to uid {uid} alone: remove it, or `chmod 0700` and `chown` it")
    return fd


@contextlib.contextmanager
def entered() -> Iterator[tuple[str, int]]:
    """Our own runtime directory, made if need be: its path and a descriptor of it. Raises StateError."""
    path = own_directory()
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        fd = _open_directory(path, os.geteuid())
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}: the daemon needs it for its control socket") from error
    try:
        yield path, fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def registered(*, setup: str, name: str, mount: str, state: str) -> Iterator[Daemon]:
    """Let clients find this process as the daemon of a mount, as long as the context lasts.

    Enter it when the control socket listens. Raises StateError.
    """
    pid = os.getpid()
    started = start_time(pid)
    assert started is not None
    with entered() as (directory, fd):
        daemon = Daemon(
            pid=pid, started=started, setup=setup, name=name, mount=mount, state=state, directory=directory,
            uid=os.geteuid(),
        )  # fmt: skip
        fields = asdict(daemon) | {"socket": f"{directory}/{daemon.socket_name}"}
        final, draft = f"{pid}.json", f"{pid}.new"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=fd), "w") as file:
            json.dump(fields, file)
        os.rename(draft, final, src_dir_fd=fd, dst_dir_fd=fd)
        try:
            yield daemon
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(final, dir_fd=fd)


def running() -> list[Daemon]:
    """Every daemon that we may talk to: our own; for root those of other users as well. By mount point.

    Removes what our own dead daemons left. Raises StateError if our own directory is not ours alone.
    """
    own = os.geteuid()
    usual = own_directory()
    found = _in_directory(usual, own)
    # one that was started before the session began, or outlived one, is not in the session's directory
    others = [(own, directory) for directory in _possible_directories(own) if own and directory != usual]
    for uid, directory in others:
        with contextlib.suppress(StateError):
            found += _in_directory(directory, uid)
    for uid in _other_users() if own == 0 else ():
        for directory in _possible_directories(uid):
            with contextlib.suppress(StateError):  # a user's broken directory is the user's business
                found += _in_directory(directory, uid)
    return sorted(found, key=lambda daemon: daemon.mount)


def _other_users() -> set[int]:
    """Users who may run a daemon: who is logged in, and who has mounted."""
    sessions: list[str] = []
    with contextlib.suppress(OSError):
        sessions = os.listdir("/run/user")
    return ({int(name) for name in sessions if name.isdecimal()} | {mount.uid for mount in mounts.of_onitufs()}) - {0}


def _possible_directories(uid: int) -> list[str]:
    directories = [f"/run/user/{uid}/onitufs"]
    with contextlib.suppress(KeyError):
        directories.append(os.path.join(pwd.getpwuid(uid).pw_dir, _IN_HOME))
    return directories


def _in_directory(path: str, uid: int) -> list[Daemon]:
    try:
        fd = _open_directory(path, uid)
    except FileNotFoundError:
        return []
    found = []
    try:
        for name in os.listdir(fd):
            stem, dot, kind = name.partition(".")
            if not stem.isdecimal() or dot + kind != ".json":
                continue
            try:
                found.append(_read(path, fd, name, uid))
            except (OSError, _NotRunning):
                if uid == os.geteuid():
                    _remove(fd, int(stem))
    finally:
        os.close(fd)
    return found


def _read(directory: str, fd: int, name: str, uid: int) -> Daemon:
    """One record, if its process lives. Of what another user wrote only the types are sure."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(name, flags, dir_fd=fd), "rb") as file:
        raw = file.read(64 * 1024)
    try:
        fields = json.loads(raw)
        daemon = Daemon(
            pid=int(name.partition(".")[0]), started=int(fields["started"]), setup=str(fields["setup"]),
            name=str(fields["name"]), mount=str(fields["mount"]), state=str(fields["state"]), directory=directory,
            uid=uid,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _NotRunning(f"{directory}/{name}: not a record") from None
    if start_time(daemon.pid) != daemon.started:
        raise _NotRunning(f"{directory}/{name}: its process has gone")
    return daemon


def _remove(fd: int, pid: int) -> None:
    for name in (f"{pid}.json", f"{pid}.new", f"{pid}.socket"):
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=fd)


def find(path: str | None) -> tuple[Daemon, bytes | None]:
    """The daemon of the mount that `path` is in, and the path inside the mount (b"/" for the mount point).

    Without a path: the only daemon that runs, and None. Raises NoDaemon, saying what to do.
    """
    return choose(running(), path)


def choose(daemons: list[Daemon], path: str | None) -> tuple[Daemon, bytes | None]:
    """As find(), out of these daemons."""
    if path is None:
        if len(daemons) == 1:
            return daemons[0], None
        if not daemons:
            raise NoDaemon("no daemon runs: start one with `onitufs mount SETUP MOUNTPOINT`")
        listed = ", ".join(daemon.mount for daemon in daemons)
        raise NoDaemon(f"{len(daemons)} daemons run: name one by a path in its mount ({listed})")
    absolute = resolved(path)
    holders = [daemon for daemon in daemons if _inside(daemon.mount, absolute) is not None]
    if not holders:
        raise NoDaemon(_why_none(path, absolute))
    nearest = max(holders, key=lambda daemon: len(daemon.mount))
    inner = _inside(nearest.mount, absolute)
    assert inner is not None
    return nearest, os.fsencode(inner)


def resolved(path: str) -> str:
    """The path with the links of its directories followed, but not a link that it names itself."""
    path = os.path.abspath(path) if path.strip("/") else "/"
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name) if name else directory


def _inside(mount: str, path: str) -> str | None:
    if mount == "/":
        return path
    if path == mount:
        return "/"
    return path[len(mount) :] if path.startswith(mount + "/") else None


def _why_none(path: str, absolute: str) -> str:
    for mount in reversed(mounts.of_onitufs()):
        if _inside(mount.point, absolute) is None:
            continue
        if os.geteuid() not in (0, mount.uid):
            return f"{path}: the mount at {mount.point} belongs to uid {mount.uid}: only that user and root may ask"
        return (
            f"{path}: the daemon of {mount.point} is gone: `onitufs mount {mount.source} {mount.point}` starts it again"
            f" with all that was saved, `onitufs umount {mount.point}` only clears the mount"
        )
    return f"{path}: not in a mount of onitufs: `onitufs mount SETUP MOUNTPOINT` makes one"
