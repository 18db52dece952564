"""Sizes, rates and durations as people write them, read strictly: what is not certain is refused, never guessed.

Own code because every library tried has a silent case ("1,5 GB" read as one byte, "10 m" as ten million, "-5m" taken).
"""

import re
from fractions import Fraction

_NUMBER = r"([0-9]{1,18})(?:\.([0-9]{1,9}))?"
_SIZE = re.compile(_NUMBER + r" ?(B|kB|KB|MB|GB|TB|PB|KiB|MiB|GiB|TiB|PiB)")
_DURATION = re.compile(_NUMBER + r" ?(ms|s|m|min|h|d|day|days|w|week|weeks)")

_RATE = re.compile(_NUMBER + r" ?(B|kB|KB|MB|GB|TB|PB|KiB|MiB|GiB|TiB|PiB|bit|kbit|Mbit|Gbit)/s")

SIZE_PATTERN = f"^{_SIZE.pattern}$"
DURATION_PATTERN = f"^{_DURATION.pattern}$"
RATE_PATTERN = f"^{_RATE.pattern}$"

_BYTES = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4, "PB": 1000**5}
_BYTES |= {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4, "PiB": 1024**5}
_BITS = {"bit": Fraction(1, 8), "kbit": Fraction(125), "Mbit": Fraction(125_000), "Gbit": Fraction(125_000_000)}
_DAY = Fraction(86400)
_SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "min": Fraction(60), "h": Fraction(3600)}
_SECONDS |= {"d": _DAY, "day": _DAY, "days": _DAY, "w": 7 * _DAY, "week": 7 * _DAY, "weeks": 7 * _DAY}

MOST_BYTES = 2**63 - 1
"""The largest size of a file on Linux."""
MOST_SECONDS = 1000 * 366 * 86400


def size(value: object) -> int:
    """Bytes: a whole number, or text such as "100 MB" (powers of 1000) or "1.5 GiB" (powers of 1024).

    Raises ValueError, whose text says what would be right.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        in_bytes = Fraction(value)
    elif isinstance(value, str) and (found := _SIZE.fullmatch(value)):
        in_bytes = _number(found) * _BYTES[found[3]]
    else:
        raise ValueError('not a size: write a number of bytes, or text such as "100 MB" or "1 GiB"')
    if in_bytes.denominator != 1 or not 0 <= in_bytes <= MOST_BYTES:
        raise ValueError("not a whole number of bytes that a file can have")
    return int(in_bytes)


LEAST_RATE = 1000
"""Bytes a second. Slower is no limit but a fault that nobody would find."""


def rate(value: object) -> int:
    """Bytes a second: a whole number, or text such as "500 kB/s", "2 MiB/s", or in bits "16 Mbit/s".

    Raises ValueError, whose text says what would be right.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        in_bytes = Fraction(value)
    elif isinstance(value, str) and (found := _RATE.fullmatch(value)):
        in_bytes = _number(found) * (_BITS.get(found[3]) or _BYTES[found[3]])
    else:
        raise ValueError('not a rate: write bytes a second, or text such as "500 kB/s", "2 MB/s" or "16 Mbit/s"')
    if not LEAST_RATE <= in_bytes <= MOST_BYTES:
        raise ValueError(f"a limit is {LEAST_RATE} bytes a second at least; to send nothing, pause the entry")
    return int(in_bytes)


def duration(value: object) -> float:
    """Seconds: a number, or text such as "500 ms", "90 s", "5 min", "2 h", "30 days", "2 weeks".

    Raises ValueError, whose text says what would be right.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_SECONDS:
        return float(value)
    if isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        seconds = _number(found) * _SECONDS[found[3]]
        if seconds <= MOST_SECONDS:
            return float(seconds)
    raise ValueError('not a duration: write a number of seconds, or text such as "90 s", "5 min", "2 h" or "30 days"')


def _number(found: re.Match[str]) -> Fraction:
    return Fraction(f"{found[1]}.{found[2] or '0'}")
