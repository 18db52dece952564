"""Extended attributes, where the mount has them and where it has not."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .mounted import Mounted

WRONG = [errno.ENODATA, errno.EOPNOTSUPP]


def _errno(call: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(OSError) as caught:
        call(*arguments)
    return caught.value.errno or 0


def test_set_get_list_remove(xattr_here: Path) -> None:
    file = xattr_here / "file"
    file.touch()
    (xattr_here / "directory").mkdir()
    values = {"user.text": b"text", "user.empty": b"", "user.bytes": bytes(range(256)) * 16, "trusted.x": b"root's"}
    for path in (file, xattr_here / "directory"):
        for name, value in values.items():
            os.setxattr(path, name, value)
        assert sorted(os.listxattr(path)) == sorted(values)
        assert {name: os.getxattr(path, name) for name in values} == values
        os.removexattr(path, "user.text")
        assert _errno(os.getxattr, path, "user.text") == errno.ENODATA
        assert _errno(os.removexattr, path, "user.text") == errno.ENODATA
        assert sorted(os.listxattr(path)) == sorted(values.keys() - {"user.text"})


def test_create_and_replace(xattr_here: Path) -> None:
    (xattr_here / "file").touch()
    assert _errno(os.setxattr, xattr_here / "file", "user.a", b"1", os.XATTR_REPLACE) == errno.ENODATA
    os.setxattr(xattr_here / "file", "user.a", b"1", os.XATTR_CREATE)
    assert _errno(os.setxattr, xattr_here / "file", "user.a", b"2", os.XATTR_CREATE) == errno.EEXIST
    os.setxattr(xattr_here / "file", "user.a", b"3", os.XATTR_REPLACE)
    assert os.getxattr(xattr_here / "file", "user.a") == b"3"


def test_access_control_lists_are_not_pretended(xattr_here: Path) -> None:
    (xattr_here / "file").touch()
    acl = bytes.fromhex("02000000010006000000000004000400ffffffff20000400ffffffff")
    assert _errno(os.setxattr, xattr_here / "file", "system.posix_acl_access", acl) == errno.EOPNOTSUPP
    assert _errno(os.getxattr, xattr_here / "file", "system.posix_acl_access") in WRONG


def test_they_survive_a_remount_and_go_with_the_file(mount: Callable[..., Mounted]) -> None:
    mounted = mount(xattr=True).start()
    (mounted.root / "file").touch()
    os.setxattr(mounted.root / "file", "user.kept", b"yes")
    os.rename(mounted.root / "file", mounted.root / "moved")
    assert mounted.end() == 0
    mounted.start()
    assert os.getxattr(mounted.root / "moved", "user.kept") == b"yes"
    (mounted.root / "moved").unlink()
    (mounted.root / "moved").touch()
    assert os.listxattr(mounted.root / "moved") == []


def test_without_them_the_kernel_hears_so(here: Path) -> None:
    (here / "file").touch()
    assert _errno(os.getxattr, here / "file", "user.a") == errno.EOPNOTSUPP
    assert _errno(os.setxattr, here / "file", "user.a", b"") == errno.EOPNOTSUPP
    assert _errno(os.listxattr, here / "file") == errno.EOPNOTSUPP
    assert _errno(os.removexattr, here / "file", "user.a") == errno.EOPNOTSUPP


def test_without_them_a_write_asks_no_more_than_once(mount: Callable[..., Mounted]) -> None:
    """The kernel asks for security.capability before each write until it hears that there are none."""
    mounted = mount().start()
    with open(mounted.root / "log", "wb", buffering=0) as file:
        for _ in range(50):
            file.write(b"line\n")
    assert mounted.call("asked", handler="getxattr") <= 1
