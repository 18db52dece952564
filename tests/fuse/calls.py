"""System calls that Python does not offer, or only with help that a test must not have."""

import ctypes
import os
from collections.abc import Iterator

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.opendir.restype = ctypes.c_void_p
_libc.readdir.restype = ctypes.c_void_p
_libc.readdir.argtypes = _libc.closedir.argtypes = _libc.rewinddir.argtypes = _libc.telldir.argtypes = [ctypes.c_void_p]
_libc.telldir.restype = ctypes.c_long
_libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]

NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
_AT_FDCWD = -100


def _checked(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def rename(old: os.PathLike[str], new: os.PathLike[str], flags: int) -> None:
    """renameat2(2)"""
    _checked(_libc.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags))


class Mapping:
    """mmap(2) of a file, shared and writable. Unlike Python's mmap it keeps no descriptor of its own."""

    def __init__(self, fd: int, length: int) -> None:
        self.length = length
        self._at = _libc.mmap(None, length, 3, 1, fd, 0)
        if self._at == ctypes.c_void_p(-1).value:
            _checked(-1)

    def store(self, offset: int, data: bytes) -> None:
        ctypes.memmove(self._at + offset, data, len(data))

    def load(self, offset: int, length: int) -> bytes:
        return ctypes.string_at(self._at + offset, length)

    def sync(self) -> None:
        _checked(_libc.msync(self._at, self.length, 4))

    def close(self) -> None:
        _checked(_libc.munmap(self._at, self.length))


class Directory:
    """opendir(3) and its like, for cookies."""

    def __init__(self, path: os.PathLike[str]) -> None:
        self._at = _libc.opendir(os.fsencode(path))
        if not self._at:
            _checked(-1)

    def read(self) -> bytes | None:
        """The next name, None at the end."""
        ctypes.set_errno(0)
        entry = _libc.readdir(self._at)
        if not entry:
            if ctypes.get_errno():
                _checked(-1)
            return None
        return ctypes.string_at(entry + 19)  # d_name in struct dirent of x86-64 and arm64

    def rest(self) -> Iterator[bytes]:
        while (name := self.read()) is not None:
            yield name

    def tell(self) -> int:
        return int(_libc.telldir(self._at))

    def seek(self, where: int) -> None:
        _libc.seekdir(self._at, where)

    def rewind(self) -> None:
        _libc.rewinddir(self._at)

    def close(self) -> None:
        _checked(_libc.closedir(self._at))
