"""The one place where an error becomes an errno. No handler lets anything but FUSEError out.

Anything else that leaves a handler ends pyfuse3's main loop, and with it the mount (the calling program gets
ECONNABORTED, every later one ENOTCONN).
"""

import errno
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

import trio
from pyfuse3 import FUSEError

from onitufs.model import errors

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

ERRNOS: Final[dict[type[BaseException], int]] = {
    errors.NoEntry: errno.ENOENT,
    errors.NoInode: errno.ESTALE,  # the kernel then looks the name up again by itself, once
    errors.Exists: errno.EEXIST,
    errors.NotDirectory: errno.ENOTDIR,
    errors.IsDirectory: errno.EISDIR,
    errors.NotEmpty: errno.ENOTEMPTY,
    errors.Invalid: errno.EINVAL,
    errors.NameTooLong: errno.ENAMETOOLONG,
    errors.NoSpace: errno.ENOSPC,
    errors.NoAttribute: errno.ENODATA,
    errors.NotSupported: errno.EOPNOTSUPP,
    errors.NotOffered: errno.ENOSYS,
    errors.TooManyLinks: errno.EMLINK,
    errors.NotPermitted: errno.EPERM,
    # A read of bytes that are not here may end with what a service said.
    errors.DriverError: errno.EIO,
    errors.ServiceError: errno.EHOSTDOWN,
    errors.NeedsPerson: errno.EHOSTDOWN,
    errors.QuotaFull: errno.ENOSPC,
    errors.Stale: errno.ESTALE,
    trio.TooSlowError: errno.ETIMEDOUT,
}
"""Read along the MRO: the nearest ancestor that is named decides. What has none is a bug: EIO, logged whole."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


def errno_of(error: BaseException) -> int | None:
    """The errno for an error that is expected to happen; None for a bug."""
    for kind in type(error).__mro__:
        number = ERRNOS.get(kind)
        if number is not None:
            return number
    if isinstance(error, OSError):
        return error.errno or errno.EIO
    return None


def leaf_of(error: BaseException) -> BaseException:
    """The first error in a (nested) exception group that is no cancellation; the group itself if all are."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    _, rest = error.split(trio.Cancelled)
    while isinstance(rest, BaseExceptionGroup):
        rest = rest.exceptions[0]
    return error if rest is None else rest


def answering(handler: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Wrap a handler: its errors leave as FUSEError, a bug is logged and leaves as EIO, cancellation passes."""

    @functools.wraps(handler)
    async def answer(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await handler(*args, **kwargs)
        except FUSEError:
            raise
        except BaseException as error:
            raise _told(handler.__name__, args, error) from error

    return answer


def unanswered(handler: Callable[P, Awaitable[None]]) -> Callable[P, Coroutine[Any, Any, None]]:
    """Wrap a handler that has nobody to tell (forget): whatever goes wrong is logged."""

    @functools.wraps(handler)
    async def answer(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await handler(*args, **kwargs)
        except Exception:
            log.exception("%s failed", handler.__name__)

    return answer


def _told(name: str, args: tuple[object, ...], error: BaseException) -> BaseException:
    """What to raise instead of `error`: a FUSEError, or `error` itself where it is none of ours to judge."""
    leaf = leaf_of(error)
    if isinstance(leaf, FUSEError):
        return leaf
    number = errno_of(leaf)
    if number is None:
        if not isinstance(leaf, Exception):
            return error  # cancellation, KeyboardInterrupt, SystemExit, or a group of cancellations
        log.error("%s(%s) failed", name, _numbers(args), exc_info=error)
        return FUSEError(errno.EIO)
    if isinstance(leaf, OSError) and number not in _FULL:
        log.error("%s(%s) failed: %s", name, _numbers(args), leaf)
    return FUSEError(number)


def _numbers(args: tuple[object, ...]) -> str:
    """Inodes, handles, offsets: enough to find it again. Neither names nor bytes of users belong in a log."""
    return ", ".join(str(arg) for arg in args if isinstance(arg, int))
