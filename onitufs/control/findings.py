"""Whether this machine, this user and the mounts that are there are well, one finding for each thing looked at."""

import contextlib
import os
import platform
import resource
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from onitufs.fuse import mount_points
from onitufs.model.errors import NoDaemon, OnituError

from . import client, mounts, runtime

OLDEST_KERNEL = (5, 10)
ENOUGH_FILES = 4096
ENOUGH_WATCHES = 65536
ENOUGH_ROOM = 1 << 30
LIBRARIES = ("pyfuse3", "trio", "lmdb", "click", "pydantic")
HELPERS = ("/sbin/mount.fuse.onitufs", "/sbin/mount.fuse3", "/sbin/mount.fuse")
PLACES_OF_MOUNT = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_PATIENCE_S = 5.0
_POOR = {
    "nfs": "locks and renames over the network are slow and may be lost",
    "nfs4": "locks and renames over the network are slow and may be lost",
    "cifs": "it has neither sockets nor sparse files",
    "fuse.sshfs": "it does not keep what was synced",
    "tmpfs": "all of it is lost when the machine is switched off",
    "vfat": "it has neither permissions nor sparse files",
    "exfat": "it has neither permissions nor sparse files",
}

State = Literal["fine", "note", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`note`: works, but something is worth knowing. `remedy`: empty if nothing is to be done."""

    what: str
    state: State
    found: str
    remedy: str = ""


def of_machine(state: str | None) -> Iterator[Finding]:
    """Everything but setups. `state`: a state directory to look at; None: where they are by default."""
    for look in (_fuse, _allow_other, _helper, _versions, _open_files, _watches, _home, lambda: _state(state)):
        yield from look()
    yield from _mounts_and_daemons()


def _fuse() -> Iterator[Finding]:
    try:
        mount_points.need_fuse()
    except NoDaemon as error:
        found, _, remedy = str(error).partition(": ")
        yield Finding(what="fuse", state="wrong", found=found, remedy=remedy)
    else:
        yield Finding(what="fuse", state="fine", found="/dev/fuse can be opened")
    program = shutil.which("fusermount3")
    if program is None:
        yield Finding(what="fusermount3", state="wrong", found="is missing", remedy="install the package fuse3")
        return
    done = subprocess.run([program, "--version"], check=False, capture_output=True, text=True)  # noqa: S603
    yield Finding(what="fusermount3", state="fine", found=f"{program}, {done.stdout.strip()}")
    if not os.path.exists("/etc/mtab"):
        yield Finding(
            what="/etc/mtab", state="wrong", found="is missing, so users cannot unmount",
            remedy="as root: ln -s ../proc/self/mounts /etc/mtab",
        )  # fmt: skip


def _allow_other() -> Iterator[Finding]:
    try:
        mount_points.need_allow_other()
    except NoDaemon as error:
        found, _, remedy = str(error).partition(": ")
        yield Finding(what="/etc/fuse.conf", state="note", found=found, remedy=f"if you want it, {remedy}")
    else:
        yield Finding(what="/etc/fuse.conf", state="fine", found="you may mount with allow_other")


def _helper() -> Iterator[Finding]:
    helper = next((path for path in HELPERS if os.path.exists(path)), None)
    program = shutil.which("onitufs", path=":".join(PLACES_OF_MOUNT))
    if helper == HELPERS[0] or (helper and program):
        yield Finding(what="fstab", state="fine", found=f"mount(8) finds {helper if helper == HELPERS[0] else program}")
    else:
        yield Finding(
            what="fstab", state="note", found="mount(8) does not find onitufs, so lines in /etc/fstab do not work",
            remedy="if you want them, as root: onitufs install-helper",
        )  # fmt: skip


def _versions() -> Iterator[Finding]:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdecimal())
    old = numbers < OLDEST_KERNEL
    yield Finding(
        what="kernel", state="note" if old else "fine", found=f"Linux {release}",
        remedy="use 5.10 or later: OnituFS is not tested with older ones" if old else "",
    )  # fmt: skip
    found = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{library} {version(library)}")
    yield Finding(what="libraries", state="fine", found=", ".join(found))


def _open_files() -> Iterator[Finding]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= ENOUGH_FILES:
        yield Finding(what="open files", state="fine", found=f"up to {hard}")
    else:
        yield Finding(
            what="open files", state="note", found=f"up to {hard}, and each file that is open in a mount is one",
            remedy="raise the hard limit in /etc/security/limits.conf, or LimitNOFILE= of the unit",
        )  # fmt: skip


def _watches() -> Iterator[Finding]:
    for name, enough in (("max_user_watches", ENOUGH_WATCHES), ("max_user_instances", 128)):
        try:
            with open(f"/proc/sys/fs/inotify/{name}") as file:
                most = int(file.read())
        except (OSError, ValueError):
            continue
        if most >= enough:
            yield Finding(what=f"inotify {name}", state="fine", found=str(most))
        else:
            yield Finding(
                what=f"inotify {name}", state="note",
                found=f"{most}: changes below that many directories of an entry are seen at once, the rest by looking",
                remedy=f"as root: sysctl fs.inotify.{name}={enough}",
            )  # fmt: skip


def _home() -> Iterator[Finding]:
    try:
        with runtime.entered() as (path, _):
            yield Finding(what="control sockets", state="fine", found=path)
    except OnituError as error:
        found, _, remedy = str(error).rpartition(": ")
        yield Finding(what="control sockets", state="wrong", found=found, remedy=remedy)


def _state(state: str | None) -> Iterator[Finding]:
    try:
        path = state or os.path.dirname(runtime.state_directory("x"))
    except OnituError:
        return  # told by _home
    there = path
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize
    kind = mounts.type_at(there)
    where = f"{path} on {kind}, {free / 1e9:.1f} GB free"
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding(what="state", state="wrong", found=f"{there} is not yours to write", remedy="choose --state DIR")
    elif kind in _POOR:
        remedy = "choose a local disk with --state DIR"
        yield Finding(what="state", state="note", found=f"{where}: {_POOR[kind]}", remedy=remedy)
    elif free < ENOUGH_ROOM:
        remedy = "make room there: every file that is written needs some first"
        yield Finding(what="state", state="wrong", found=where, remedy=remedy)
    else:
        yield Finding(what="state", state="fine", found=where)


def _mounts_and_daemons() -> Iterator[Finding]:
    try:
        daemons = runtime.running()
    except OnituError:
        daemons = []  # told by _home
    there = {mount.point: mount for mount in mounts.of_onitufs()}
    for mount in there.values():
        if os.geteuid() not in (0, mount.uid):
            continue
        answer = mount_points.ask(mount.point)
        if answer is None:
            found, remedy = "does not answer", f"fusermount3 -uz {mount.point}"
        elif answer in mount_points.DEAD:
            found, remedy = "is dead: its daemon is gone", f"onitufs mount {mount.source} {mount.point}"
        elif mount.point not in {daemon.mount for daemon in daemons}:
            found, remedy = "answers, but its daemon cannot be found", f"umount {mount.point}, and mount it again"
        else:
            yield Finding(what=f"mount {mount.point}", state="fine", found="answers")
            continue
        yield Finding(what=f"mount {mount.point}", state="wrong", found=found, remedy=remedy)
    for daemon in daemons:
        if daemon.mount not in there:
            yield Finding(
                what=f"daemon {daemon.pid}", state="note",
                found=f"{daemon.mount} was unmounted; it still places what was saved",
                remedy=f"onitufs mount {daemon.setup} {daemon.mount}",
            )  # fmt: skip
        yield from _entries(daemon)


def _entries(daemon: runtime.Daemon) -> Iterator[Finding]:
    try:
        with client.Conversation(daemon) as conversation:
            answer = conversation.ask("status", patience_s=_PATIENCE_S)
    except OnituError as error:
        found, remedy = str(error), f"onitufs log --state {daemon.state}"
        yield Finding(what=f"daemon of {daemon.mount}", state="wrong", found=found, remedy=remedy)
        return
    found = f"answers; pid {daemon.pid}, {answer['verdict']}"
    yield Finding(what=f"daemon of {daemon.mount}", state="fine", found=found)
    for entry in answer.get("entries", []):
        yield _entry(daemon, entry)


def _entry(daemon: runtime.Daemon, entry: dict[str, Any]) -> Finding:
    well = entry.get("health") in ("up", "starting")
    found = " ".join(filter(None, (str(entry.get("health")), str(entry.get("message") or ""))))
    what = f"entry {entry.get('name')} of {daemon.mount}"
    return Finding(
        what=what, state="fine" if well else "note" if entry.get("health") == "paused" else "wrong",
        found=found, remedy="" if well else str(entry.get("remedy") or ""),
    )  # fmt: skip
