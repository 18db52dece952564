"""Whose daemon it is: root may start one that serves somebody else, and then gives up being root for good."""

import os
import pwd
import stat
import sys
from dataclasses import dataclass

from onitufs.model.errors import NoDaemon

KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "NOTIFY_SOCKET", "ONITUFS_DEBUG")  # of root's environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user, as the passwd database has it."""

    name: str
    uid: int
    gid: int
    home: str


def to_serve(setup: str, wanted: str | None) -> Account | None:
    """For whom root is to mount `setup`, an absolute path: `wanted` (a name or a uid), else the owner of the file.

    None: for oneself, as always where it is not root who asks. Raises NoDaemon with a remedy.
    """
    if os.geteuid() != 0:
        if wanted is not None and _named(wanted).uid != os.geteuid():
            raise NoDaemon(f"setuid={wanted}: only root may mount for somebody else")
        _need_own_groups()
        return None
    account = _named(wanted) if wanted is not None else _owner(setup)
    return account if account is not None and account.uid != 0 else None


def become(account: Account) -> None:
    """Be that user from now on, with their groups and home, and no way back. Works in / afterwards.

    Raises NoDaemon if the program itself is out of that user's reach.
    """
    os.chdir("/")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept, HOME=account.home, USER=account.name, LOGNAME=account.name)
    os.initgroups(account.name, account.gid)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    try:
        os.setuid(0)
    except PermissionError:
        pass
    else:
        raise RuntimeError("still root")
    for directory in (os.path.dirname(os.__file__), os.path.dirname(os.path.abspath(__file__)), sys.prefix):
        if not os.access(directory, os.R_OK | os.X_OK):
            raise NoDaemon(
                f"{account.name} may not read {directory}, where OnituFS is installed: install it where every user may"
                " read, as in /opt or with 'pipx install --global'"
            )


def _need_own_groups() -> None:
    """mount.fuse3 has an option setuid= of its own, which leaves a user with all of root's groups."""
    user = pwd.getpwuid(os.geteuid()) if os.getgid() != 0 and 0 in os.getgroups() else None
    if user is not None and 0 not in os.getgrouplist(user.pw_name, user.pw_gid):
        raise NoDaemon(
            f"{user.pw_name} would have the groups of root here, by the setuid= of mount.fuse3: have root run"
            " 'onitufs install-helper' once, which brings a better one"
        )


def _named(user: str) -> Account:
    try:
        found = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise NoDaemon(f"setuid={user}: there is no such user: see 'getent passwd'") from None
    return Account(name=found.pw_name, uid=found.pw_uid, gid=found.pw_gid, home=found.pw_dir)


def _owner(setup: str) -> Account | None:
    """Who owns the setup; None: root. Of a setup that cannot be seen, too: what is wrong with it is told elsewhere.

    Nobody else may have had a hand in what the path leads to, or they could choose whom root serves.
    """
    try:
        uid = os.stat(setup).st_uid
    except OSError:
        return None
    if uid == 0:
        return None
    for path in _on_the_way(setup):
        found = os.lstat(path)
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_uid not in (0, uid) or (
            found.st_mode & stat.S_IWOTH and not sticky and not stat.S_ISLNK(found.st_mode)
        ):
            raise NoDaemon(
                f"{setup}: belongs to uid {uid}, but others can change {path}: say with -o setuid=USER whom to serve"
            )
    try:
        return _named(str(uid))
    except NoDaemon:
        raise NoDaemon(
            f"{setup}: belongs to uid {uid}, who is no user here: say with -o setuid=USER whom to serve"
        ) from None


def _on_the_way(path: str) -> list[str]:
    """Everything that a lookup of `path` meets: directories and links, and behind these what they lead to."""
    met, left, here = ["/"], path.split("/"), "/"
    links = 0
    while left:
        name = left.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        at = os.path.join(here, name)
        met.append(at)
        if os.path.islink(at):
            links += 1
            if links > 40:  # as many as the kernel follows
                break
            target = os.readlink(at)
            left = target.split("/") + left
            here = "/" if target.startswith("/") else here
        else:
            here = at
    return met
