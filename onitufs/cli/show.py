"""How names, sizes, times and tables look to a person. Names come from anywhere, so nothing in them reaches the
terminal as a command."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import click

from onitufs.control.protocol import VERSION, path_of

# control, format (which turn the direction of text around, or are invisible), surrogate, line and paragraph separators
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def safe(text: str) -> str:
    """The text on one line, with everything escaped that is not to be seen as itself."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _UNSAFE else c for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # an undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def path(fields: Mapping[str, Any]) -> str:
    """The path in an answer, as safe text."""
    found = path_of(dict(fields))
    return safe(found.decode(errors="surrogateescape")) if found is not None else ""


def text(fields: Mapping[str, Any], name: str) -> str:
    """A field as safe text; empty if it is missing or null."""
    value = fields.get(name)
    return "" if value is None else safe(str(value))


def size(length: object) -> str:
    """Bytes in the largest binary unit that leaves a number to read: 12.3 MiB."""
    if not isinstance(length, int | float):
        return ""
    if abs(length) < 1024:
        return f"{int(length)} B"
    value = float(length)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if abs(value) < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} PiB"


def count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def files(number: int) -> str:
    return count(number, "file", "files")


def table(rows: Sequence[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """Columns under each other; the last one is as wide as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


def as_json(answer: Mapping[str, Any]) -> None:
    """Print one object on one line, ASCII, with its version."""
    click.echo(json.dumps({"v": VERSION, **answer}))
