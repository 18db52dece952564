"""`onitufs status`"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from . import show, verdict
from .asking import json_option, whole_mount

HELP = """Say whether every file is where the rules want it.

PATH is the mount point or anything in it; without one, the only mount there is.

\b
Examples:
  onitufs status
  onitufs status ~/Onitu --watch
  onitufs status --json | jq .files.pending
"""


@click.command("status", help=HELP, short_help="Is everything where the rules want it?")
@click.argument("path", required=False)
@click.option("--watch", "-w", is_flag=True, help="Go on showing it, with the transfers that are under way.")
@json_option
def command(path: str | None, watch: bool, as_json: bool) -> int:
    with whole_mount(path) as daemon:
        if watch:
            return _watch(daemon.stream("watch", interval_s=1.0), as_json)
        status = daemon.ask("status")
    if as_json:
        show.as_json(status)
    else:
        for line in lines(status):
            click.echo(line)
    return verdict.exit_status(status)


def lines(status: Mapping[str, Any]) -> Iterator[str]:
    """All of a status as plain text."""
    yield verdict.line(status)
    files = status["files"]
    yield f"{show.text(status, 'name')} at {show.text(status, 'mount')}, from {show.text(status, 'setup')}"
    if files.get("only_here"):
        yield f"{show.files(files['only_here'])} only here: no rule names an entry for them"
    yield from _store(status.get("store", {}))
    if status.get("conflicts"):
        yield f"{show.count(status['conflicts'], 'conflict', 'conflicts')}: `onitufs conflicts list`"
    if entries := status.get("entries"):
        yield from show.table([_entry(entry) for entry in entries])
    for entry in entries or []:
        if entry.get("message"):
            yield f"{show.text(entry, 'name')}: {show.text(entry, 'message')}{_remedy(entry)}"
    for failure in status.get("failures", []):
        yield f"{show.path(failure)} on {show.text(failure, 'entry')}: {show.text(failure, 'reason')}{_remedy(failure)}"


def _store(store: Mapping[str, Any]) -> Iterator[str]:
    """What the local store takes, where somebody may want to know."""
    facts = []
    if store.get("quota") is not None:
        taken = show.size(store.get("bytes")) or "measuring"
        facts.append(f"{taken} of {show.size(store['quota'])}")
    if (history := store.get("history", {})).get("versions"):
        facts.append(
            f"{show.count(history['versions'], 'version', 'versions')} in history, {show.size(history['bytes'])}"
        )
    if store.get("pins"):
        facts.append(show.count(store["pins"], "pin", "pins"))
    if facts:
        yield f"local store: {'; '.join(facts)}"


def _entry(entry: Mapping[str, Any]) -> list[str]:
    since = f"since {show.text(entry, 'since')}" if entry.get("since") else ""
    health = show.text(entry, "health") + (", being emptied" if entry.get("draining") else "")
    busy = len(entry.get("running", []))
    work = f"{entry.get('queued', 0)} queued" + (f", {busy} running" if busy else "") + _seen(entry)
    return [
        show.text(entry, "name"), show.text(entry, "driver"), health,
        work, _space(entry), since,
    ]  # fmt: skip


def _space(entry: Mapping[str, Any]) -> str:
    """What is free on the service, where it says so."""
    space = entry.get("space") or {}
    if space.get("free") is None:
        return ""
    of = f" of {show.size(space['total'])}" if space.get("total") is not None else ""
    return f"{show.size(space['free'])}{of} free"


def _seen(entry: Mapping[str, Any]) -> str:
    """How far an entry has been listed, until all has been seen once."""
    seen = entry.get("seen")
    if not seen or seen.get("complete") or entry.get("health") != "up":
        return ""
    left = show.count(seen.get("directories_left", 0), "directory", "directories")
    return f", being listed: {show.count(seen.get('names', 0), 'name', 'names')} seen, {left} to go"


def _remedy(fields: Mapping[str, Any]) -> str:
    return f": {show.text(fields, 'remedy')}" if fields.get("remedy") else ""


def _watch(glances: Iterator[Mapping[str, Any]], as_json: bool) -> int:
    last: Mapping[str, Any] = {"verdict": "pending"}
    try:
        if as_json or not sys.stdout.isatty():
            before = None
            for last in glances:
                if as_json:
                    show.as_json(last)
                elif (line := verdict.line(last)) != before:
                    click.echo(line)
                    before = line
        else:
            from .live import draw

            for glance in draw(glances):
                last = glance
    except KeyboardInterrupt:
        pass  # the way to end it
    return verdict.exit_status(last)
