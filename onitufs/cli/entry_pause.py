"""`onitufs entry pause`"""

import click

from . import show
from .asking import json_option, mount_option, whole_mount

HELP = """Give an entry no more work until it is resumed, also after a restart.

\b
Example:
  onitufs entry pause nas
"""


@click.command("pause", help=HELP, short_help="Give an entry no more work.")
@click.argument("entry")
@mount_option
@json_option
def command(entry: str, mount: str | None, as_json: bool) -> int:
    with whole_mount(mount) as daemon:
        answer = daemon.ask("pause", entry=entry)
    if as_json:
        show.as_json(answer)
    else:
        click.echo(f"{show.safe(entry)}: {show.text(answer, 'health') or 'paused'}")
    return 0
