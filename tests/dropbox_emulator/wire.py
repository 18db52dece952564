"""How calls, answers and refusals are written. The SDK's validators read and write all of it, strictly."""

import json
from dataclasses import dataclass, field
from typing import Any

from dropbox import auth, files, users
from stone.backends.python_rsrc import stone_base, stone_serializers, stone_validators

from .errors import BadRequest

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


def _routes() -> dict[str, Any]:
    found = {}
    for namespace, module in (("files", files), ("users", users), ("auth", auth)):
        for route in module.ROUTES.values():
            version = "" if route.version == 1 else f"_v{route.version}"
            found[f"{namespace}/{route.name}{version}"] = route
    return found


ROUTES = _routes()
"""By name as in the URL after /2/: files/move_v2."""


@dataclass
class Request:
    """What came over the wire. `host` is "api", "content" or "notify"."""

    host: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def route(self) -> str:
        return self.target.removeprefix("/2/").removeprefix("/")

    @property
    def arg_text(self) -> str:
        """The argument as it was sent, to look for words in it."""
        return self.headers.get("dropbox-api-arg") or (self.body[:100_000].decode("utf-8", "replace"))


@dataclass
class Answer:
    """What goes back."""

    status: int
    content_type: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    summary: str = ""


def text(status: int, line: str, **headers: str) -> Answer:
    return Answer(status, TEXT, line.encode(), headers, line)


def decode(validator: Any, written: str) -> Any:
    """Raises BadRequest for whatever is not a valid argument."""
    try:
        value = stone_serializers.json_decode(validator, written, strict=True)
    except stone_validators.ValidationError as error:
        raise BadRequest(f"Error in call to API function: request body: {error}") from None
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"Error in call to API function: could not decode input as JSON: {error}") from None
    return value


def encode(validator: Any, value: Any) -> str:
    """Raises ValidationError if an answer of ours is none: a bug of the emulator."""
    written: str = stone_serializers.json_encode(validator, value)
    stone_serializers.json_decode(validator, written, strict=True)
    return written


def refusal(status: int, validator: Any, error: Any) -> Answer:
    """409 and its like: a summary and the error."""
    told = json.loads(encode(validator, error))
    summary = summary_of(told)
    return Answer(status, JSON, json.dumps({"error_summary": summary, "error": told}).encode(), summary=summary)


def summary_of(told: Any) -> str:
    tags = []
    while told is not None:
        if isinstance(told, str):
            tags.append(told)
            break
        tag = told.get(".tag")
        if tag is None:
            told = told.get("reason")
            continue
        tags.append(tag)
        told = told.get(tag) or told.get("reason")
    return "/".join(tags) + "/.."


def is_void(validator: Any) -> bool:
    return isinstance(validator, stone_validators.Void)


def is_union(validator: Any) -> bool:
    return isinstance(validator, stone_validators.Union)


def union_of(value: stone_base.Union) -> Any:
    return stone_validators.Union(type(value))
