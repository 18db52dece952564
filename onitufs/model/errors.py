"""Every error of ours: whose it is, whether trying again can help, and how a command ends because of it."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit status of the command line."""

    FINE = 0
    BUG = 1
    USAGE = 2
    NO_SUCH = 3
    NO_DAEMON = 4
    PENDING = 5
    UNREACHABLE = 6
    NEEDS_PERSON = 7
    FULL = 8
    TIMED_OUT = 9
    RUNNING = 10


class OnituError(Exception):
    """Base of all. str() is one line for a person: what, where, and the remedy."""

    exit_status = Exit.BUG


# -- the user's ---------------------------------------------------------------------------------------------------


class SetupError(OnituError):
    """The setup is wrong. `problems`: one line each, every one that was found."""

    exit_status = Exit.USAGE

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class NoSuchPath(OnituError):
    exit_status = Exit.NO_SUCH


class NoDaemon(OnituError):
    """No daemon answers, or the mount point cannot be used."""

    exit_status = Exit.NO_DAEMON


class AlreadyRunning(OnituError):
    """A daemon holds this state directory already."""

    exit_status = Exit.RUNNING


class StateError(OnituError):
    """The state directory cannot be used: damaged, or written by a newer version."""

    exit_status = Exit.NEEDS_PERSON


class NotPossible(OnituError):
    """What was asked cannot be done as things are; the message says what would help."""

    exit_status = Exit.NEEDS_PERSON


# -- the file system's; fuse/errnos.py maps them -------------------------------------------------------------------


class FileError(OnituError):
    """A file system call that POSIX says must fail."""


class NoEntry(FileError):
    """ENOENT"""


class NoInode(NoEntry):
    """ESTALE: nothing has this inode number any more. (By name the file may well be there, under a new one.)"""


class Exists(FileError):
    """EEXIST"""


class NotDirectory(FileError):
    """ENOTDIR"""


class IsDirectory(FileError):
    """EISDIR"""


class NotEmpty(FileError):
    """ENOTEMPTY"""


class Invalid(FileError):
    """EINVAL"""


class NameTooLong(FileError):
    """ENAMETOOLONG"""


class NoSpace(FileError):
    """ENOSPC"""


class NoAttribute(FileError):
    """ENODATA"""


class NotSupported(FileError):
    """EOPNOTSUPP"""


class NotOffered(FileError):
    """ENOSYS: no call of this kind works in this mount; the kernel will not ask again."""


class TooManyLinks(FileError):
    """EMLINK"""


class NotPermitted(FileError):
    """EPERM"""


# -- the entries' ---------------------------------------------------------------------------------------------------


class DriverError(OnituError):
    """Something an entry's service said or failed to say. Each kind has one visible outcome."""

    exit_status = Exit.UNREACHABLE


class ServiceError(DriverError):
    """Passing trouble: try again, after `retry_after_s` seconds if the service said so."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NeedsPerson(DriverError):
    """The entry is suspended until a person acts; the message says how (identity marker, host key, ...)."""

    exit_status = Exit.NEEDS_PERSON


class AnotherPlace(NeedsPerson):
    """What answers is not the place that the entry was, provably. A person may say that it is the place from now on."""


class AuthNeeded(NeedsPerson):
    """Credentials are missing, wrong or expired."""


class QuotaFull(DriverError):
    """The service or its disk is full; tried again slowly."""

    exit_status = Exit.FULL


class NameNotAllowed(DriverError):
    """The service refuses this name."""


class TooLarge(DriverError):
    """The service refuses a file of this size."""


class Gone(DriverError):
    """The object, or the directory it should stand in, is not there."""


class Conflict(DriverError):
    """The object at the place is not the one that the order knows (other rev, or a foreign object)."""


class Stale(DriverError):
    """The bytes to send are no longer available as ordered (a newer generation exists). Not the service's fault."""


class Missing(Stale):
    """The directory of an order is not where it was, and somebody sees whether it has another name now."""
