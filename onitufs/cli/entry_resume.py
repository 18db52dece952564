"""`onitufs entry resume`"""

import click

from . import show
from .asking import json_option, mount_option, whole_mount

HELP = """Give an entry work again, at once: ends a pause, a wait after errors, or a suspension whose cause is gone.

\b
Example:
  onitufs entry resume nas
"""


@click.command("resume", help=HELP, short_help="Give an entry work again.")
@click.argument("entry")
@mount_option
@json_option
def command(entry: str, mount: str | None, as_json: bool) -> int:
    with whole_mount(mount) as daemon:
        answer = daemon.ask("resume", entry=entry)
    if as_json:
        show.as_json(answer)
    else:
        click.echo(f"{show.safe(entry)}: {show.text(answer, 'health') or 'resumed'}")
    return 0
