"""System calls that the standard library does not offer. Each raises OSError; ENOSYS where the C library has none."""

import ctypes
import errno
import os
import struct
from typing import NamedTuple

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = getattr(_libc, "renameat2", None)
_statx = getattr(_libc, "statx", None)
_STATX = struct.Struct("=I24xH2xQQ16x16xqI4xqI4xqI4x8xII")  # mask, mode, ino, size, btime, ctime, mtime, dev
_STATX_BYTES = 256
_STATX_MASK = 0x7FF | 0x800  # basic stats, and when it was born
_STATX_BTIME = 0x800
_NOFOLLOW, _EMPTY_PATH = 0x100, 0x1000


def rename(name: bytes, directory: int, to: bytes, to_directory: int, flags: int) -> None:
    """renameat2(2)."""
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _renameat2(directory, name, to_directory, to, flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Status(NamedTuple):
    """What stat(2) says of an object, named as in os.stat_result; and `birth_ns`, 0 where the file system has none."""

    st_mode: int
    st_ino: int
    st_dev: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    birth_ns: int


def status(name: bytes, directory: int) -> Status:
    """statx(2) of a name, without following it; of the descriptor itself for b""."""
    if _statx is not None:
        buffer = ctypes.create_string_buffer(_STATX_BYTES)
        if _statx(directory, name, _EMPTY_PATH if not name else _NOFOLLOW, _STATX_MASK, buffer) == 0:
            mask, mode, ino, size, born_s, born_ns, changed_s, changed_ns, modified_s, modified_ns, major, minor = (
                _STATX.unpack_from(buffer)
            )
            return Status(
                st_mode=mode,
                st_ino=ino,
                st_dev=os.makedev(major, minor),
                st_size=size,
                st_mtime_ns=modified_s * 10**9 + modified_ns,
                st_ctime_ns=changed_s * 10**9 + changed_ns,
                birth_ns=born_s * 10**9 + born_ns if mask & _STATX_BTIME else 0,
            )
        code = ctypes.get_errno()
        if code not in {errno.ENOSYS, errno.EPERM}:  # EPERM: a sandbox that does not know the call
            raise OSError(code, os.strerror(code))
    found = os.stat(name, dir_fd=directory, follow_symlinks=False) if name else os.fstat(directory)
    return Status(
        found.st_mode, found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns, birth_ns=0
    )
