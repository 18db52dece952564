"""Reads a setup file: all of it, or every reason why not."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from onitufs.model.bandwidth import UNLIMITED, Bandwidth
from onitufs.model.errors import SetupError
from onitufs.model.ids import EntryName
from onitufs.model.rules import Match, Rule

from .form import BandwidthForm, NeverForm, RuleForm, ScannersForm, SetupForm
from .never import NEVER
from .problems import lines
from .reading import read
from .scanners import HEAD_BYTES, SCANNERS
from .setup import EntrySetup, Setup

HISTORY_BYTES = 10 << 30  # what history may take where nothing else is said


def load(path: Path) -> Setup:
    """Read and check a setup. Blocking: one small file.

    Whether drivers exist and their options are right is the drivers' to say (drivers/manifest.py).
    Raises SetupError with all problems, each one line: "setup.json: rules[1].sync[0]: no entry 'B'".
    """
    path = path.absolute()
    tree, problems = read(path)
    if not isinstance(tree, dict):
        raise SetupError([f'{path.name}: a setup is an object: {{"name": ..., "entries": ..., "rules": ...}}'])
    try:
        form = SetupForm.model_validate(tree, context=_context(tree))
    except ValidationError as error:
        raise SetupError([*problems, *(f"{path.name}: {line}" for line in lines(error, tree))]) from error
    if problems:
        raise SetupError(problems)
    return Setup(
        name=form.name,
        path=path,
        entries=tuple(
            EntrySetup(
                name=EntryName(name),
                driver=entry.driver,
                options=entry.options,
                mode=entry.mode,
                velocity=entry.velocity,
                bandwidth=_bandwidth(entry.bandwidth),
            )
            for name, entry in form.entries.items()
        ),
        rules=tuple(_rule(rule, f"rules[{index}]") for index, rule in enumerate(form.rules)),
        never=_listed(form.never, NEVER),
        quota=form.quota,
        history_s=form.history.keep,
        history_bytes=_history_bytes(form),
        scanners=_listed(form.scanners, SCANNERS),
        scanner_head=form.scanners.head if isinstance(form.scanners, ScannersForm) else HEAD_BYTES,
    )


def _context(tree: dict[str, Any]) -> dict[str, Any]:
    """What rules may refer to, found even where the rest of the setup is wrong."""
    entries = tree.get("entries")
    if not isinstance(entries, dict):
        return {}
    read_only = [entry for entry in entries.values() if isinstance(entry, dict) and entry.get("mode") == "r"]
    return {"entries": list(entries), "writable": len(entries) - len(read_only)}


def _rule(form: RuleForm, source: str) -> Rule:
    match = form.match
    return Rule(
        match=Match(
            paths=tuple(match.path or ()),
            globs=tuple(match.glob or ()),
            media_types=tuple(match.mime or ()),
            size_min=match.size.min if match.size else None,
            size_max=match.size.max if match.size else None,
            age_min_s=match.age.min if match.age else None,
            age_max_s=match.age.max if match.age else None,
        ),
        sync=tuple(EntryName(name) for name in form.sync),
        ban=tuple(EntryName(name) for name in form.ban),
        local=form.local,
        copies=form.copies,
        source=source,
    )


def _bandwidth(form: BandwidthForm | None) -> Bandwidth:
    return UNLIMITED if form is None else Bandwidth(up=form.up, down=form.down)


def _history_bytes(form: SetupForm) -> int:
    if form.history.size is not None:
        return form.history.size
    return HISTORY_BYTES if form.quota is None else min(HISTORY_BYTES, form.quota // 2)


def _listed(form: list[str] | NeverForm | ScannersForm, default: tuple[str, ...]) -> tuple[str, ...]:
    """A list, or the default one with changes."""
    if isinstance(form, list):
        return tuple(form)
    kept = (pattern for pattern in default if pattern not in form.except_)
    return tuple(dict.fromkeys([*kept, *form.also]))
