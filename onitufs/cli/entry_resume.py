"""`onitufs entry resume`"""

import click

from . import show
from .asking import json_option, mount_option, whole_mount

HELP = """Give an entry work again, at once: ends a pause, a wait after errors, or a suspension whose cause is gone.

If unusually much is gone from the entry, nothing is deleted anywhere before you say what that means: it was deleted on
purpose (--accept-deletions), or it was lost and is to be placed there again (--restore). So it is if another disk, or
directory, or account is where the entry was: the answer makes that the entry.

\b
Examples:
  onitufs entry resume nas
  onitufs entry resume nas --restore
"""


@click.command("resume", help=HELP, short_help="Give an entry work again.")
@click.argument("entry")
@click.option("--accept-deletions", "accept", is_flag=True, help="Delete here, too, what is gone there.")
@click.option("--restore", is_flag=True, help="Place again what is gone there.")
@mount_option
@json_option
def command(entry: str, accept: bool, restore: bool, mount: str | None, as_json: bool) -> int:
    if accept and restore:
        raise click.UsageError("--accept-deletions and --restore are opposites; give one of them")
    with whole_mount(mount) as daemon:
        answer = daemon.ask("resume", entry=entry, accept=accept, restore=restore)
    if as_json:
        show.as_json(answer)
    else:
        click.echo(f"{show.safe(entry)}: {show.text(answer, 'health') or 'resumed'}")
    return 0
