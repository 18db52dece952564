"""What the server says of an object, as the rest of OnituFS has it.

The protocol knows no ids, and times in whole seconds. So a rev is everything that it tells: of two contents of one size
that a file had within one second, nobody can say which is which.
"""

import stat

from onitufs.drivers.handlers import Found
from onitufs.model.copies import RemoteState
from onitufs.model.files import Kind, kind_of

from .packets import Attributes

DIRECTORY = "d"
"""The rev of every directory: any will do."""


def is_directory(found: Attributes | None) -> bool:
    return found is not None and stat.S_ISDIR(found.mode)


def rev_of(found: Attributes) -> str:
    if stat.S_ISDIR(found.mode):
        return DIRECTORY
    return f"{found.size:x}.{found.mtime_s:x}.{found.mode:o}.{found.uid:x}.{found.gid:x}"


def state_of(found: Attributes, digest: bytes = b"") -> RemoteState:
    return RemoteState(rev=rev_of(found), digest=digest)


def expected(found: Attributes, rev: str, kind: Kind) -> bool:
    """Whether that is the object of this rev; "" stands for any directory."""
    if kind_of(found.mode) is not kind:
        return False
    return rev_of(found) == rev or (rev == "" and kind is Kind.DIRECTORY)


def found_of(found: Attributes, target: bytes = b"") -> Found:
    kind = kind_of(found.mode)
    return Found(
        kind=kind,
        size=0 if kind is Kind.DIRECTORY else found.size,
        mtime_ns=found.mtime_s * 10**9,
        mode=stat.S_IMODE(found.mode) & 0o777,
        state=state_of(found),
        target=target,
    )
