"""`onitufs conflicts list`"""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from . import show
from .asking import json_option, mount_option, whole_mount

HELP = """Show each conflict: both files, their sizes and times, and where each one is.

\b
Examples:
  onitufs conflicts list
  onitufs conflicts list --json | jq -r .kept.path
"""


@click.command("list", help=HELP, short_help="Show each conflict with both its files.")
@mount_option
@json_option
def command(mount: str | None, as_json: bool) -> int:
    with whole_mount(mount) as daemon:
        found = daemon.ask("conflicts")["conflicts"]
    if as_json:
        for conflict in found:
            show.as_json(conflict)
        return 0
    click.echo("no conflicts" if not found else show.count(len(found), "conflict", "conflicts"))
    for conflict in found:
        for line in _lines(conflict):
            click.echo(line)
    if found:
        click.echo("choose with `onitufs conflicts resolve PATH --keep this|other|both`")
    return 0


def _lines(conflict: Mapping[str, Any]) -> Iterator[str]:
    kept, original = conflict["kept"], conflict.get("original")
    rows = [_row(kept, f"from {show.text(conflict, 'entry')}")] if original is None else []
    if original is not None:
        rows = [_row(original, "the name both wanted"), _row(kept, f"from {show.text(conflict, 'entry')}")]
    else:
        rows.append(["(the other file is gone)", "", "", "", ""])
    yield from show.table(rows)


def _row(side: Mapping[str, Any], what: str) -> list[str]:
    where = [*(["here"] if side.get("here") else []), *(show.safe(entry) for entry in side.get("entries", []))]
    return [
        show.path(side),
        what,
        show.size(side.get("size")),
        f"changed {show.text(side, 'modified')}",
        f"is {' and '.join(where)}" if where == ["here"] else f"is on {', '.join(where)}" if where else "",
    ]
