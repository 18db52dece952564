"""`onitufs entry list`"""

import click

from . import show
from .asking import json_option, mount_option, whole_mount

HELP = """List the entries with their health and their work.

\b
Example:
  onitufs entry list --json
"""


@click.command("list", help=HELP, short_help="List the entries.")
@mount_option
@json_option
def command(mount: str | None, as_json: bool) -> int:
    with whole_mount(mount) as daemon:
        entries = daemon.ask("entries")["entries"]
    if as_json:
        for entry in entries:
            show.as_json(entry)
    elif entries:
        rows = [["ENTRY", "DRIVER", "MODE", "HEALTH", "QUEUED", "MESSAGE"]]
        rows += [
            [show.text(entry, name) for name in ("name", "driver", "mode", "health", "queued", "message")]
            for entry in entries
        ]
        for line in show.table(rows, indent=""):
            click.echo(line)
    return 0
