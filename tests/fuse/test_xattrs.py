"""Extended attributes, where the mount has them and where it has not."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from .expecting import fails
from .mounted import Mounted


def test_set_get_list_remove(xattr_here: Path) -> None:
    file = xattr_here / "file"
    file.touch()
    (xattr_here / "directory").mkdir()
    values = {"user.text": b"text", "user.empty": b"", "user.bytes": bytes(range(256)) * 16}
    if os.geteuid() == 0:
        values["trusted.x"] = b"root's"
    for path in (file, xattr_here / "directory"):
        for name, value in values.items():
            os.setxattr(path, name, value)
        assert sorted(os.listxattr(path)) == sorted(values)
        assert {name: os.getxattr(path, name) for name in values} == values
        os.removexattr(path, "user.text")
        fails(errno.ENODATA, os.getxattr, path, "user.text")
        fails(errno.ENODATA, os.removexattr, path, "user.text")
        assert sorted(os.listxattr(path)) == sorted(values.keys() - {"user.text"})


def test_create_and_replace(xattr_here: Path) -> None:
    (xattr_here / "file").touch()
    fails(errno.ENODATA, os.setxattr, xattr_here / "file", "user.a", b"1", os.XATTR_REPLACE)
    os.setxattr(xattr_here / "file", "user.a", b"1", os.XATTR_CREATE)
    fails(errno.EEXIST, os.setxattr, xattr_here / "file", "user.a", b"2", os.XATTR_CREATE)
    os.setxattr(xattr_here / "file", "user.a", b"3", os.XATTR_REPLACE)
    assert os.getxattr(xattr_here / "file", "user.a") == b"3"


def test_access_control_lists_are_not_pretended(xattr_here: Path) -> None:
    (xattr_here / "file").touch()
    acl = bytes.fromhex("02000000010006000000000004000400ffffffff20000400ffffffff")
    fails(errno.EOPNOTSUPP, os.setxattr, xattr_here / "file", "system.posix_acl_access", acl)
    fails((errno.ENODATA, errno.EOPNOTSUPP), os.getxattr, xattr_here / "file", "system.posix_acl_access")


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
    fails(errno.EOPNOTSUPP, os.getxattr, here / "file", "user.a")
    fails(errno.EOPNOTSUPP, os.setxattr, here / "file", "user.a", b"")
    fails(errno.EOPNOTSUPP, os.listxattr, here / "file")
    fails(errno.EOPNOTSUPP, os.removexattr, here / "file", "user.a")


def test_without_them_a_write_asks_no_more_than_once(mount: Callable[..., Mounted]) -> None:
    """The kernel asks for security.capability before each write until it hears that there are none."""
    mounted = mount().start()
    with open(mounted.root / "log", "wb", buffering=0) as file:
        file.writelines(b"line\n" for _ in range(50))
    assert mounted.call("asked", handler="getxattr") <= 1
