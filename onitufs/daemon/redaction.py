"""Keeps secrets out of the log: by the name of a field, by the look of a value, and by the secrets that were read."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from onitufs.model.secrets import hidden

HIDDEN = "[redacted]"
_TELLING = re.compile(
    r"(?i)pass(word|wd|phrase)?$|pass(word|wd|phrase)|secret|token|credential|authori[sz]ation|cookie|api_?key"
    r"|private_?key|app_?key|access_?key"
)
_LOOKS = re.compile(
    r"(?i)(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"  # an Authorization header
    r"|(://[^\s/:@]+:)[^\s/@]+(?=@)"  # a password in a URL
    r"|((?:password|passwd|passphrase|secret|token|api_?key)[\"']?\s*[=:]\s*[\"']?)[^\s\"',&;]+"
)


def redacted(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor."""
    for name, value in event.items():
        event[name] = HIDDEN if name != "event" and _tells(name, value) else _clean(value)
    return event


def _tells(name: object, value: object) -> bool:
    return isinstance(name, str) and not isinstance(value, bool | int | float | None) and bool(_TELLING.search(name))


def _clean(value: object) -> object:
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, bytes):
        return _clean_text(value.decode(errors="backslashreplace"))
    if isinstance(value, Mapping):
        return {name: HIDDEN if _tells(name, inner) else _clean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _clean_text(repr(value))


def _clean_text(text: str) -> str:
    text = hidden(text, HIDDEN)
    return _LOOKS.sub(lambda match: (match[1] or match[2] or match[3] or "") + HIDDEN, text)
