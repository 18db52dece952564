"""mknod(2) of everything it can make."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from .mounted import Mounted


def test_every_type(place: Path) -> None:
    made = {
        "file": (stat.S_IFREG, 0),
        "fifo": (stat.S_IFIFO, 0),
        "socket": (stat.S_IFSOCK, 0),
        "char": (stat.S_IFCHR, os.makedev(1, 3)),
        "block": (stat.S_IFBLK, os.makedev(259, 70_000)),
    }
    for name, (kind, device) in made.items():
        os.mknod(place / name, kind | 0o640, device)
    for name, (kind, device) in made.items():
        found = os.lstat(place / name)
        assert stat.S_IFMT(found.st_mode) == kind
        assert stat.S_IMODE(found.st_mode) == 0o640
        assert found.st_rdev == device
        assert found.st_nlink == 1
    (place / "file").write_text("and it holds bytes")
    for name in made:
        os.rename(place / name, place / f"{name}2")
        os.unlink(place / f"{name}2")


def test_a_fifo_connects_two_programs(place: Path) -> None:
    os.mkfifo(place / "fifo")
    reader = os.open(place / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(place / "fifo", os.O_WRONLY)
    os.write(writer, b"through")
    assert os.read(reader, 10) == b"through"
    os.close(writer)
    os.close(reader)


def test_a_socket_is_bound(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        at = os.open(place, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{at}/socket")
        server.listen()
        client.connect(f"/proc/self/fd/{at}/socket")
        os.close(at)
    assert stat.S_ISSOCK(os.lstat(place / "socket").st_mode)


def test_devices_work_only_if_asked_for(mount: Callable[..., Mounted]) -> None:
    for dev in (False, True):
        mounted = mount(dev=dev).start()
        os.mknod(mounted.root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        try:
            os.close(os.open(mounted.root / "null", os.O_WRONLY))
        except PermissionError:
            assert not dev
        else:
            assert dev
