"""Having a disk begin to write, so that little is left for the sync that counts."""

import ctypes

_libc = ctypes.CDLL(None, use_errno=True)
_sync_file_range = getattr(_libc, "sync_file_range", None)  # not every C library has it
_WRITE = 2  # SYNC_FILE_RANGE_WRITE


def begin_write(fd: int) -> bool:
    """Have all bytes of a file on their way to its disk, by sync_file_range(2). For a thread: it may wait for the disk.

    Whether the system took it. A hint: it promises nothing and raises nothing; what goes wrong, the next sync tells.
    """
    if _sync_file_range is None:
        return False
    return int(_sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_WRITE))) == 0
