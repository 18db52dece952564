"""The lines that travel over the control socket: one JSON object each, requests one way, answers the other.

    {"v": 1, "do": "whereis", "path": "/a.txt"}              a request
    {"v": 1, "ok": {...}}                                    its answer; a stream sends several, then
    {"v": 1, "end": true}                                    this
    {"v": 1, "error": {"message": "...", "exit": 3}}         or what went wrong, as one line for a person

Imported by every client command, so it imports next to nothing.
"""

import base64
import binascii
import json
import os
from typing import Any

VERSION = 1
LONGEST_REQUEST = 64 * 1024  # bytes of one line; a path has 4096 at the most, in base64 and in text
LONGEST_ANSWER = 64 * 1024 * 1024

Fields = dict[str, Any]


class Garbled(ValueError):
    """A line that is not of this protocol. str() says what is wrong with it."""


def encode(fields: Fields) -> bytes:
    """One line, ASCII only, with its version and newline."""
    return json.dumps({"v": VERSION, **fields}, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Fields:
    """The object on one line. Raises Garbled, also for another version of the protocol."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise Garbled("not a line of JSON") from None
    if not isinstance(fields, dict):
        raise Garbled("not a JSON object")
    if fields.get("v") != VERSION:
        raise Garbled(f"speaks version {fields.get('v')!r} of the control protocol, not {VERSION}: use one onitufs")
    return fields


def path_fields(path: bytes, name: str = "path") -> Fields:
    """The two keys that every path has in requests and answers: `path`, and `path_base64` if it is not UTF-8."""
    try:
        return {name: path.decode()}
    except UnicodeDecodeError:
        return {name: path.decode(errors="replace"), f"{name}_base64": base64.b64encode(path).decode("ascii")}


def path_of(fields: Fields, name: str = "path") -> bytes | None:
    """The path in a request or answer, None if there is none. Raises Garbled."""
    encoded = fields.get(f"{name}_base64")
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise Garbled(f"{name}_base64 is not base64") from None
    path = fields.get(name)
    if path is None:
        return None
    if not isinstance(path, str):
        raise Garbled(f"{name} is not a string")
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        raise Garbled(f"{name} has characters that no file name has") from None
