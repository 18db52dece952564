"""A driver's JSON self-description, and options checked against it.

Reading a manifest imports nothing of the driver's: `onitufs drivers` and completion must stay quick.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from onitufs.model import units
from onitufs.model.digests import ALGORITHMS, BLAKE3

from . import values

OPTION_TYPES = ("string", "integer", "boolean", "path", "size", "duration", "secret")
ABILITIES = frozenset(
    {
        "keeps_mode",  # permission bits
        "keeps_mtime",  # in ns; a driver that rounds says "mtime_s" as well
        "mtime_s",
        "symlinks",
        "atomic_replace",  # a reader never sees the name absent or half-written
        "server_move",  # files and directories are renamed without a transfer
        "trash",  # what is replaced or deleted can be brought back for a while
        "digest",  # the content of a remote object can be hashed
        "list",  # directories can be listed, so what others put there is found
        "watch",  # changes are told
        "read",  # parts of a file can be read
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a driver. `default` is the JSON value; None with `required`, or where leaving it out means None.

    `words`: texts that may stand in place of a value of that type.
    """

    name: str
    type: str
    help: str
    required: bool
    default: Any = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a driver says of itself. `velocity`: 0 (slow) to 1 (a local disk), for choosing a holder to read from.

    `digest`: the algorithm of the digests that it gives; one of model.digests.ALGORITHMS.
    """

    name: str
    description: str
    velocity: float
    abilities: frozenset[str]
    options: tuple[Option, ...]
    digest: str = BLAKE3


class ManifestError(ValueError):
    """A manifest that is no manifest. The message names the field."""


def read_manifest(text: str) -> Manifest:
    """Read a manifest.json. Raises ManifestError."""
    try:
        raw = json.loads(text)
    except ValueError as exc:
        raise ManifestError(f"not JSON: {exc}") from exc
    if not isinstance(raw, dict):
        raise ManifestError("not an object")
    _only(raw, "", {"name", "description", "velocity", "abilities", "options", "digest"})
    abilities = raw.get("abilities")
    if not isinstance(abilities, list) or not all(isinstance(ability, str) for ability in abilities):
        raise ManifestError("abilities: not a list of words")
    if unknown := set(abilities) - ABILITIES:
        raise ManifestError(f"abilities: unknown {', '.join(sorted(unknown))}")
    velocity = raw.get("velocity")
    if not isinstance(velocity, int | float) or isinstance(velocity, bool) or not 0 <= velocity <= 1:
        raise ManifestError("velocity: not a number from 0 to 1")
    digest = raw.get("digest", BLAKE3)
    if not isinstance(digest, str) or digest not in ALGORITHMS:
        raise ManifestError(f"digest: {digest!r} is none of {', '.join(sorted(ALGORITHMS))}")
    options = raw.get("options")
    if not isinstance(options, dict):
        raise ManifestError("options: not an object")
    return Manifest(
        name=_text(raw, "", "name"),
        description=_text(raw, "", "description"),
        velocity=float(velocity),
        abilities=frozenset(abilities),
        options=tuple(_option(name, option) for name, option in options.items()),
        digest=digest,
    )


def _only(raw: Mapping[str, object], where: str, known: set[str]) -> None:
    for key in raw:
        if key not in known:
            raise ManifestError(f"{where}{key}: unknown field")


def _text(raw: Mapping[str, object], where: str, key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        raise ManifestError(f"{where}{key}: missing, or not text")
    return value


def _option(name: str, raw: object) -> Option:
    where = f"options.{name}."
    if not isinstance(raw, dict):
        raise ManifestError(f"options.{name}: not an object")
    _only(raw, where, {"type", "help", "default", "required", "words"})
    kind = _text(raw, where, "type")
    if kind not in OPTION_TYPES:
        raise ManifestError(f"{where}type: {kind!r} is none of {', '.join(OPTION_TYPES)}")
    required = raw.get("required", False)
    if not isinstance(required, bool) or (required and "default" in raw):
        raise ManifestError(f"{where}required: not a boolean, or there is a default as well")
    words = raw.get("words", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ManifestError(f"{where}words: not a list of words")
    option = Option(
        name=name,
        type=kind,
        help=_text(raw, where, "help"),
        required=required,
        default=raw.get("default"),
        words=tuple(words),
    )
    if option.default is not None:
        try:
            _value(option, option.default, Path("/"))
        except ValueError as exc:
            raise ManifestError(f"{where}default: {exc}") from exc
    return option


def _value(option: Option, value: object, base: Path) -> object:
    if value in option.words:
        return value
    try:
        return _typed(option.type, value, base)
    except ValueError as exc:
        if not option.words:
            raise
        raise ValueError(f"{exc}; or {' or '.join(json.dumps(word) for word in option.words)}") from exc


def _typed(kind: str, value: object, base: Path) -> object:
    match kind:
        case "string":
            return values.string(value)
        case "integer":
            return values.integer(value)
        case "boolean":
            return values.boolean(value)
        case "path":
            return values.path(value, base)
        case "size":
            return units.size(value)
        case "duration":
            return units.duration(value)
        case _:
            return values.secret(value, base)


def option_values(
    manifest: Manifest, raw: Mapping[str, object], base: Path, at: str
) -> tuple[dict[str, Any], list[str]]:
    """The typed value of every option, and the problems found, one line each.

    `base`: where relative paths start (the setup file's directory). `at`: JSON path of `raw`, e.g.
    "entries.nas.options". A value that is a secret, or may be one by mistake, is never repeated in a problem.
    """
    known = {option.name: option for option in manifest.options}
    problems = list(_unknown(raw, known, manifest, at))
    typed: dict[str, Any] = {}
    for option in manifest.options:
        if option.name not in raw:
            if option.required:
                problems.append(f"{at}.{option.name}: missing; driver {manifest.name} needs it: {option.help}")
            typed[option.name] = None if option.default is None else _value(option, option.default, base)
            continue
        given = raw[option.name]
        try:
            typed[option.name] = _value(option, given, base)
        except ValueError as exc:
            shown = "" if option.type == "secret" else f"{json.dumps(given, ensure_ascii=False)[:80]}: "
            problems.append(f"{at}.{option.name}: {shown}{exc}")
    return typed, problems


def _unknown(raw: Mapping[str, object], known: Mapping[str, Option], manifest: Manifest, at: str) -> Iterator[str]:
    for name in raw:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"driver {manifest.name} has: {', '.join(known) or 'none'}"
            yield f"{at}.{name}: unknown option ({hint})"


def typed_options(kind: type, typed: Mapping[str, Any]) -> Any:
    """The driver's frozen options class, filled. A class that does not fit its manifest is the driver's bug."""
    names = {field.name for field in fields(kind)}
    if names != set(typed):
        raise ManifestError(f"{kind.__name__} has {sorted(names)}, the manifest {sorted(typed)}")
    return kind(**typed)
