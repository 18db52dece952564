"""`onitufs history`"""

from collections.abc import Mapping
from typing import Any

import click

from . import show
from .asking import json_option, one_path

HELP = """Show what can be brought back: of a file, also of one that was deleted, or of all that is below a directory.

Each line is one version: its REV for `onitufs restore`, when it was deleted, replaced or truncated, and how long it is
kept. Versions of files that were changed in place are not kept.

\b
Examples:
  onitufs history ~/Onitu/report.pdf
  onitufs history ~/Onitu/photos --json
"""


@click.command("history", help=HELP, short_help="Show what can be brought back.")
@click.argument("path")
@json_option
def command(path: str, as_json: bool) -> int:
    conversation, place = one_path(path)
    rows = []
    with conversation as daemon:
        for version in daemon.stream("history", **place):
            if as_json:
                show.as_json(version)
            else:
                rows.append(_row(version))
    if rows:
        for line in show.table([["REV", "ENDED", "WHY", "SIZE", "KEPT UNTIL", "PATH"], *rows], indent=""):
            click.echo(line)
    elif not as_json:
        click.echo("nothing is kept")
    return 0


def _row(version: Mapping[str, Any]) -> list[str]:
    by = f" by {show.text(version, 'by')}" if version.get("by") else ""
    return [
        show.text(version, "rev"), show.text(version, "ended"), show.text(version, "why") + by,
        show.size(version.get("size")), show.text(version, "until"), show.path(version),
    ]  # fmt: skip
