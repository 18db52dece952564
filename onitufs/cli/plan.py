"""`onitufs plan`"""

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from . import show
from .asking import json_option, mount_option, whole_mount

HELP = """Show what a setup would do to the files there are: what is copied, moved and trashed, entry by entry.

Nothing is changed. Without NEW.json the mounted setup is read again, as it is on disk now. With --apply the plan is
carried out: NEW.json replaces the mounted setup file, of which a copy is kept beside it as NAME.before, and what was
found on entries where no rule wants it is taken away too, by way of trash. Nothing is taken away before the entries
that are to hold it hold it. Relative paths in NEW.json are read as from the place of the mounted setup.

\b
Examples:
  onitufs plan new.json
  onitufs plan new.json --json | jq '.entries[] | {name, copied: .copied.files}'
  onitufs plan --apply new.json
"""


@click.command("plan", help=HELP, short_help="Show what another setup would do, or do it.")
@click.argument("setup", metavar="[NEW.json]", required=False)
@click.option("--apply", is_flag=True, help="Carry it out.")
@click.option("--force", is_flag=True, help="Even if an entry goes that alone holds what some files are now.")
@mount_option
@json_option
def command(setup: str | None, apply: bool, force: bool, mount: str | None, as_json: bool) -> int:
    path = None if setup is None else os.path.abspath(setup)
    on_terminal = sys.stderr.isatty() and not as_json
    with whole_mount(mount) as daemon:
        for answer in daemon.stream("plan", setup=path, apply=apply, force=force):
            if as_json:
                show.as_json(answer)
            elif answer.get("done"):
                for line in _lines(answer):
                    click.echo(line)
            elif on_terminal:
                click.echo(f"\r{answer.get('looked_at', 0)} of {answer.get('of', '?')} \r", nl=False, err=True)
    return 0


_TOLD = {
    "copied": "to copy there",
    "moved": "to rename there",
    "trashed": "to take away, into its trash",
    "found": "found there and wanted by no rule: stay, but for --apply",
    "left": "stay there, and are not looked after any more",
    "last": "of these have this as their only copy on any entry",
    "cannot": "that rules name it for, and it cannot hold",
}


def _lines(plan: Mapping[str, Any]) -> Iterator[str]:
    quiet = True
    for entry in plan["entries"]:
        told = [(kind, entry[kind]) for kind in _TOLD if entry[kind]["files"]]
        if plan.get("applied"):
            told = [(kind, tally) for kind, tally in told if kind != "found"] + [
                ("trashed", tally) for kind, tally in told if kind == "found"
            ]
        state = {"new": " (new)", "gone": " (not in the setup any more)"}.get(entry["state"], "")
        if entry.get("renamed_from"):
            state = f" (so far {show.text(entry, 'renamed_from')})"
        if told or state:
            quiet = False
            yield f"{show.text(entry, 'name')}{state}:"
            for kind, tally in told:
                yield f"  {_counted(tally)} {_TOLD[kind]}: {_examples(tally)}"
    if plan["missing"]["files"]:
        quiet = False
        yield f"{_counted(plan['missing'])} can have fewer copies than the rules ask for: {_examples(plan['missing'])}"
    if plan["only_here"]["files"]:
        yield f"{_counted(plan['only_here'])} kept here only, no rule names an entry: {_examples(plan['only_here'])}"
    for rule in plan["rules"]:
        if not rule["covers"]:
            yield f"{show.text(rule, 'source')} covers nothing that is there"
    if quiet:
        yield "nothing to do"
    elif plan.get("applied"):
        yield "being done; `onitufs wait` returns when it is"


def _counted(tally: Mapping[str, Any]) -> str:
    return f"{show.files(tally['files'])}, {show.size(tally['bytes'])}"


def _examples(tally: Mapping[str, Any]) -> str:
    more = ", ..." if tally["files"] > len(tally["examples"]) else ""
    return ", ".join(show.path(path) for path in tally["examples"]) + more
