"""What an errno of the disk means for the entry."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onitufs.drivers.handlers import RemotePath, shown
from onitufs.model.errors import (
    Conflict,
    DriverError,
    Gone,
    NameNotAllowed,
    NeedsPerson,
    QuotaFull,
    ServiceError,
    TooLarge,
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_NAME = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EMLINK}
# Not to be entered: a file, or a symbolic link, stands where a directory of ours should be.
_NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


@contextmanager
def answering(root: Path, path: RemotePath = ()) -> Iterator[None]:
    """Turns each OSError into the DriverError that says what to do about it."""
    try:
        yield
    except OSError as exc:
        raise meaning(exc, root, path) from exc


def meaning(exc: OSError, root: Path, path: RemotePath) -> DriverError:
    where = f"{shown(path)} in {root}" if path else str(root)
    what = f"{where}: {exc.strerror or exc}"
    code = exc.errno
    if code in _FULL:
        return QuotaFull(f"{what}; free space on the disk of {root}")
    if code == errno.EROFS:
        return NeedsPerson(f"{what}; mount it writable")
    if code in {errno.EACCES, errno.EPERM}:
        return NeedsPerson(f"{what}; give the user who runs OnituFS the right to read and write there")
    if code == errno.EXDEV:
        return NameNotAllowed(f"{where}: another file system is mounted there; make that an entry of its own")
    if code == errno.EBUSY:
        return NameNotAllowed(f"{what}; unmount what is mounted there")
    if code in _NAME:
        return NameNotAllowed(f"{what}; rename the file")
    if code == errno.EFBIG:
        return TooLarge(f"{what}; the disk takes no file of this size")
    if code in _NOWHERE:
        return Gone(what)
    if code in {errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR}:
        return Conflict(what)
    return ServiceError(what)
