"""How paths and times look in answers: the same in every one of them."""

import base64
import datetime
from typing import Any


def path_fields(path: bytes) -> dict[str, Any]:
    """The keys `path` and, where it is no UTF-8, `path_base64`."""
    text = path.decode(errors="replace")
    if text.encode() == path:
        return {"path": text}
    return {"path": text, "path_base64": base64.b64encode(path).decode()}


def moment(ns: int, timespec: str = "seconds") -> str:
    """RFC 3339 in UTC, of ns since the epoch; to the second, or to what isoformat() calls `timespec`.

    Source: RFC 3339, section 5.6.
    """
    try:
        when = datetime.datetime.fromtimestamp(ns // 1_000_000_000, datetime.UTC)
    except (ValueError, OverflowError, OSError):  # beyond the years 1 to 9999, which a file's time may be
        when = datetime.datetime.fromtimestamp(0, datetime.UTC)
    when = when.replace(microsecond=ns % 1_000_000_000 // 1000)
    return when.isoformat(timespec=timespec).replace("+00:00", "Z")
