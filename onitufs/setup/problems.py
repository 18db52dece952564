"""From what pydantic found to lines for a person: where, what, and the nearest thing that would be right."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import ValidationError

from .form import ALTERNATIVES, Form, SetupForm, UnknownName
from .reading import step

_KINDS = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
}
_SHOWN = 60


def lines(error: ValidationError, tree: Any) -> list[str]:
    """One line for each problem, in the order of the form, without the file's name. `tree`: what was validated."""
    return [_line(found, tree) for found in error.errors(include_url=False)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ " (did you mean 'sync'?)" with the nearest of the names, or "" if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _line(found: Any, tree: Any) -> str:
    kind, given = found["type"], found["input"]
    of_key = found["loc"][-1:] == ("[key]",)
    steps = _as_written(found["loc"][:-1] if of_key else found["loc"], tree)
    if kind == "missing":
        return f"{_where(steps[:-1])}{steps[-1]!r} is missing"
    if kind == "extra_forbidden":
        known = _keys_at(steps[:-1])
        return f"{_where(steps)}unknown key" + (
            did_you_mean(str(steps[-1]), known) or f"; known here: {', '.join(known)}"
        )
    return f"{_where(steps)}{_what(kind, found, given, of_key=of_key)}"


def _as_written(location: Iterable[str | int], tree: Any) -> list[str | int]:
    """pydantic's location without what only the form added: names of alternatives, the index in a list of one."""
    steps: list[str | int] = []
    for part in location:
        if isinstance(part, int) and not isinstance(tree, list):
            continue
        if part in ALTERNATIVES and not (isinstance(tree, dict) and part in tree):
            continue
        steps.append(part)
        if isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            tree = tree.get(part) if isinstance(tree, dict) else None
    return steps


def _where(steps: Sequence[str | int]) -> str:
    where = ""
    for part in steps:
        where = step(where, part)
    return f"{where}: " if where else ""


def _what(kind: str, found: Any, given: Any, *, of_key: bool) -> str:
    context = found.get("ctx", {})
    if kind == "value_error":
        cause = context["error"]
        if isinstance(cause, UnknownName):
            return f"{cause}{did_you_mean(cause.name, cause.known)}"
        return str(cause) if of_key or isinstance(given, dict) else f"{_shown(given)}: {cause}"
    if kind in _KINDS:
        return f"{_shown(given)} is not {_KINDS[kind]}"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"])
        return f"{_shown(given)} is none of {', '.join(map(repr, known))}{did_you_mean(str(given), known)}"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    return f"{_shown(given)}: {found['msg'].removeprefix('Input ')}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _keys_at(steps: Sequence[str | int]) -> list[str]:
    """The keys that an object of the form has at this place."""
    here: Any = SetupForm
    for part in steps:
        inside = _fields(here)[str(part)] if _is_form(here) else get_args(here)[-1]  # of a list or an object
        here = _plain(inside)
    return list(_fields(here))


def _fields(form: type[Form]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in form.model_fields.items()}


def _plain(annotation: Any) -> Any:
    """The form, list or object type in an annotation: a form rather than a list, where either may stand."""
    if _is_form(annotation) or get_origin(annotation) in (list, dict):
        return annotation
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    inner = [_plain(one) for one in get_args(annotation)]
    return next((one for one in inner if _is_form(one)), next((one for one in inner if one is not None), None))


def _is_form(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Form)
