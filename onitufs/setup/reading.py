"""From the bytes of a setup file to a JSON tree, with every object that names a key twice.

JSON lets an object repeat a key and Python keeps the last one: an entry that was copied and not renamed would silently
replace the other.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from onitufs.model.errors import SetupError

MOST_BYTES = 16 * 1024 * 1024


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys came more than once."""

    repeated: tuple[str, ...] = ()


def read(path: Path) -> tuple[Any, list[str]]:
    """The tree in a JSON file, and one line for each key given twice. Raises SetupError if there is no tree.

    Problems carry the file's name, as every problem of a setup does.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SetupError([f"{path}: cannot be read: {error.strerror or error}"]) from error
    if len(content) > MOST_BYTES:
        raise SetupError([f"{path.name}: larger than {MOST_BYTES} bytes: not a setup"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SetupError([f"{path.name}: line {line}: not UTF-8: save the file in that encoding"]) from error
    try:
        tree = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise SetupError([f"{path.name}: line {error.lineno} column {error.colno}: {_what(error, text)}"]) from error
    except RecursionError as error:
        raise SetupError([f"{path.name}: nested too deeply to be a setup"]) from error
    except ValueError as error:
        raise SetupError([f"{path.name}: {error}"]) from error
    return tree, [f"{path.name}: {where}: given twice; the last one would win" for where in _twice(tree, "")]


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        made.repeated = tuple(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _what(error: json.JSONDecodeError, text: str) -> str:
    """JSON's commonest slip, told as what it is."""
    before = text[: error.pos].rstrip()
    at = text[error.pos : error.pos + 1]
    if before.endswith(",") and at in ("}", "]"):
        return f"a comma before {at!r}: remove it"
    if text[error.pos : error.pos + 2] in ("//", "/*") or at == "#":
        return 'JSON has no comments: use a "comment" key'
    return f"not JSON: {error.msg}" + (f", found {at!r}" if at else ", found the end of the file")


def _twice(tree: Any, where: str) -> Iterator[str]:
    if isinstance(tree, _Object):
        for key in tree.repeated:
            yield step(where, key)
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _twice(value, step(where, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _twice(value, step(where, index))


def step(where: str, key: str | int) -> str:
    """One step further in a JSON path: "rules" and 1 is "rules[1]", "entries" and "A" is "entries.A"."""
    if isinstance(key, int):
        return f"{where}[{key}]"
    if not key or any(letter in '.[]" ' or not letter.isprintable() for letter in key):
        return f"{where}[{json.dumps(key)}]"
    return f"{where}.{key}" if where else key
