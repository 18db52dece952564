"""Names of files: what fits into one."""

NAME_MAX = 255
"""Bytes that a file name may have on every Linux disk file system."""


def cut(name: bytes, room: int) -> bytes:
    """The first `room` bytes at most, not ending within a UTF-8 character (of a name that is UTF-8)."""
    if len(name) <= room:
        return name
    kept = name[:room]
    return kept.decode("utf-8", "ignore").encode() if _is_utf8(name) else kept


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
