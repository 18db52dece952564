"""The kernel judges by mode and owner: root and a second user, in the mount and on the disk."""

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onitufs.fuse import mount_points

from .expecting import fails
from .mounted import Mounted

OTHER, GROUP = 65534, 54321  # nobody, and a group that only some of these tests give him
PYTHON = os.path.realpath(sys.executable)


def as_other(code: str, *arguments: object, groups: tuple[int, ...] = ()) -> str:
    """Run Python code as the second user, in the directory of the first argument. What it printed, or OSError."""
    wrapped = (
        "import os,sys,stat\nA=sys.argv[1:]\ntry:\n  "
        + code.replace("\n", "\n  ")
        + "\nexcept OSError as e: sys.exit(100+e.errno)"
    )
    done = subprocess.run(
        [PYTHON, "-IS", "-c", wrapped, *map(str, arguments)],
        user=OTHER,
        group=OTHER,
        extra_groups=groups,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode > 100:
        raise OSError(done.returncode - 100, os.strerror(done.returncode - 100))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(number: int, code: str, *arguments: object, groups: tuple[int, ...] = ()) -> None:
    fails(number, as_other, code, *arguments, groups=groups)


def test_modes_are_heeded(place: Path) -> None:
    (place / "private").write_text("x")
    (place / "private").chmod(0o600)
    (place / "public").write_text("public")
    (place / "closed").mkdir(0o700)
    (place / "closed" / "file").touch()
    refused(errno.EACCES, "open(A[0])", place / "private")
    refused(errno.EACCES, "open(A[0], 'a')", place / "public")
    refused(errno.EACCES, "os.listdir(A[0])", place / "closed")
    refused(errno.EACCES, "os.stat(A[0])", place / "closed" / "file")
    refused(errno.EACCES, "open(A[0], 'w')", place / "new")
    refused(errno.EACCES, "os.mkdir(A[0])", place / "new")
    refused(errno.EACCES, "os.unlink(A[0])", place / "public")
    refused(errno.EACCES, "os.rename(A[0], A[1])", place / "public", place / "new")
    refused(errno.EPERM, "os.chmod(A[0], 0o777)", place / "public")
    refused(errno.EPERM, "os.chown(A[0], 65534, -1)", place / "public")
    refused(errno.EPERM, "os.utime(A[0], (0, 0))", place / "public")
    refused(errno.EACCES, "os.truncate(A[0], 0)", place / "public")
    assert as_other("print(open(A[0]).read(), os.access(A[0], os.W_OK))", place / "public") == "public False"


def test_what_the_other_user_makes_is_his(place: Path) -> None:
    place.chmod(0o777)
    as_other(
        "os.umask(0o022)\nopen(A[0]+'/file','w').write('x')\nos.mkdir(A[0]+'/dir')\nos.symlink('x',A[0]+'/link')\n"
        "os.mkfifo(A[0]+'/fifo')\nos.link(A[0]+'/file',A[0]+'/hard')",
        place,
    )
    for name in ("file", "dir", "link", "fifo", "hard"):
        found = os.lstat(place / name)
        assert (found.st_uid, found.st_gid) == (OTHER, OTHER)
    as_other("os.chmod(A[0], 0o600)\nos.utime(A[0], ns=(1, 2))\nos.truncate(A[0], 5)", place / "file")
    assert (place / "file").stat().st_size == 5
    refused(errno.EPERM, "os.chown(A[0], 0, -1)", place / "file")
    (place / "file").write_text("root may all the same")


def test_a_sticky_directory(place: Path) -> None:
    place.chmod(0o1777)
    (place / "roots").touch()
    as_other("open(A[0]+'/his', 'w')", place)
    refused(errno.EPERM, "os.unlink(A[0])", place / "roots")
    refused(errno.EPERM, "os.rename(A[0]+'/his', A[0]+'/roots')", place)
    as_other("os.unlink(A[0])", place / "his")


def test_a_group_that_may(place: Path) -> None:
    (place / "file").write_text("x")
    os.chown(place / "file", 0, GROUP)
    (place / "file").chmod(0o660)
    refused(errno.EACCES, "open(A[0], 'a')", place / "file")
    as_other("open(A[0], 'a').write('y')", place / "file", groups=(GROUP,))
    assert (place / "file").read_text() == "xy"


def test_a_setgid_directory_hands_its_group_down(place: Path) -> None:
    (place / "shared").mkdir()
    os.chown(place / "shared", 0, GROUP)
    (place / "shared").chmod(0o2777)
    (place / "shared" / "file").touch()
    (place / "shared" / "below").mkdir(0o755)
    os.symlink("x", place / "shared" / "link")
    os.mkfifo(place / "shared" / "fifo")
    as_other("os.mkdir(A[0]+'/his')\nopen(A[0]+'/his_file','w')", place / "shared", groups=(GROUP,))
    for name in ("file", "below", "link", "fifo", "his", "his_file"):
        assert os.lstat(place / "shared" / name).st_gid == GROUP
    for name in ("below", "his"):
        assert (place / "shared" / name).stat().st_mode & stat.S_ISGID
    assert not (place / "shared" / "file").stat().st_mode & stat.S_ISGID


def test_a_write_strips_suid_and_sgid(place: Path) -> None:
    for name in ("written", "truncated", "kept"):
        (place / name).write_text("program")
        os.chown(place / name, OTHER, OTHER)
        (place / name).chmod(0o6777)
    as_other("open(A[0]+'/written', 'a').write('x')\nos.truncate(A[0]+'/truncated', 1)", place)
    modes = [stat.S_IMODE((place / name).stat().st_mode) for name in ("written", "truncated", "kept")]
    assert modes == [0o777, 0o777, 0o6777]
    os.chown(place / "kept", 0, 0)
    assert stat.S_IMODE((place / "kept").stat().st_mode) == 0o777


def test_a_write_by_somebody_else_strips_suid(place: Path) -> None:
    """The SETATTR comes in the name of the writer, who is not the owner: it must not be refused."""
    (place / "program").write_text("program")
    (place / "program").chmod(0o4777)
    as_other("open(A[0], 'a').write('x')", place / "program")
    assert stat.S_IMODE((place / "program").stat().st_mode) == 0o777
    assert (place / "program").read_text() == "programx"


def test_without_allow_other_nobody_else_gets_in(mount: Callable[..., Mounted]) -> None:
    mounted = mount(allow_other=False).start()
    mounted.root.chmod(0o777)
    refused(errno.EACCES, "os.listdir(A[0])", mounted.root)
    refused(errno.EACCES, "os.stat(A[0])", mounted.root)
    mounted.root.joinpath("file").write_text("still mine")


@pytest.fixture
def _device_for_all() -> Iterator[None]:
    """As udev makes /dev/fuse; containers often have it for root only."""
    with open("/dev/fuse", "rb") as device:
        fcntl.flock(device, fcntl.LOCK_EX)  # else a test beside this one takes it back under our feet, or for good
        before = stat.S_IMODE(os.fstat(device.fileno()).st_mode)
        os.fchmod(device.fileno(), 0o666)
        yield
        os.fchmod(device.fileno(), before)


@pytest.mark.usefixtures("_device_for_all")
def test_a_user_mounts_for_himself(mount: Callable[..., Mounted]) -> None:
    """Not as root: fusermount3 does it. What he makes is his, and umount by him works."""
    mounted = mount(allow_other=False).start_as(OTHER)
    refused(errno.ENOENT, "os.stat(A[0] + '/absent')", mounted.root)
    as_other("open(A[0] + '/file', 'w').write('x')\nassert os.stat(A[0] + '/file').st_uid == 65534", mounted.root)
    with pytest.raises(PermissionError):
        os.listdir(mounted.root)
    assert mounted.end() == 0
    assert os.listdir(mounted.root) == []


SLOW_HELPER = """#!/bin/sh
# Whom the first attempt finds in the mount is gone at the second, which returns when the daemon has closed its session.
case "$*" in
    "-u -z "*) REAL "$@" && while ls -l "/proc/$PPID/fd" | grep -q /dev/fuse; do sleep 0.01; done ;;
    "-u "*) cd "$3" && REAL "$@"; exit $? ;;
    *) exec REAL "$@" ;;
esac
"""


@pytest.mark.usefixtures("_device_for_all")
def test_a_mount_in_use_that_is_left_while_it_is_taken_away(
    mount: Callable[..., Mounted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session has ended by itself by then: to end it once more would end the process (SIGSEGV)."""
    mounted = mount(allow_other=False)
    helper = mounted.base / "fusermount3"
    helper.write_text(SLOW_HELPER.replace("REAL", shutil.which("fusermount3") or ""))
    helper.chmod(0o4755)  # the kernel heeds that of no script, but who mounts looks for it
    monkeypatch.setenv("PATH", f"{mounted.base}:{os.environ['PATH']}")
    mounted.start_as(OTHER)
    assert mounted.end() == 0, mounted.logged()
    assert mount_points.mounted_at(str(mounted.root)) is None


@pytest.mark.usefixtures("_device_for_all")
def test_a_user_who_asks_for_allow_other_hears_what_is_missing(mount: Callable[..., Mounted]) -> None:
    mounted = mount(allow_other=True)
    with pytest.raises(RuntimeError, match=r"user_allow_other.*/etc/fuse\.conf"):
        mounted.start_as(OTHER)
