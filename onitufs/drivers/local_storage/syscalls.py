"""System calls that the standard library does not offer. Each raises OSError; ENOSYS where the C library has none."""

import ctypes
import errno
import os

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = getattr(_libc, "renameat2", None)
_sync_file_range = getattr(_libc, "sync_file_range", None)


def rename(name: bytes, directory: int, to: bytes, to_directory: int, flags: int) -> None:
    """renameat2(2)."""
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _renameat2(directory, name, to_directory, to, flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def begin_write(fd: int) -> None:
    """sync_file_range(2): have a file's bytes on their way to disk. A hint: promises nothing, raises nothing."""
    if _sync_file_range is not None:
        _sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), 2)
