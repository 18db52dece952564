"""`onitufs entry drain`"""

import sys

import click

from onitufs.model.errors import Exit

from . import show
from .asking import json_option, mount_option, whole_mount

HELP = """Empty an entry, so that it can be removed from the setup.

Its files go to the other entries that the rules name for them and leave this one, into its trash, once they are there.
It goes on when this command is interrupted, and over restarts, until --stop. Files for which no other entry is named
are a reason to refuse; with --local they are kept on this machine alone.

\b
Examples:
  onitufs entry drain nas
  onitufs entry drain nas --stop
"""


@click.command("drain", help=HELP, short_help="Empty an entry.")
@click.argument("entry")
@click.option("--local", is_flag=True, help="Keep here what no other entry is named for.")
@click.option("--stop", is_flag=True, help="Stop emptying it; the rules count again.")
@mount_option
@json_option
def command(entry: str, local: bool, stop: bool, mount: str | None, as_json: bool) -> int:
    with whole_mount(mount) as daemon:
        if stop:
            answer = daemon.ask("stop_draining", entry=entry)
            if as_json:
                show.as_json(answer)
            else:
                click.echo(f"{show.safe(entry)}: not emptied any more")
            return 0
        told = ""
        for answer in daemon.stream("drain", entry=entry, local=local):
            if as_json:
                show.as_json(answer)
                continue
            if answer.get("message") and answer["message"] != told:
                told = answer["message"]
                click.echo(f"{show.safe(entry)}: {show.text(answer, 'message')}: {show.text(answer, 'remedy')}")
            if sys.stderr.isatty() and "of" in answer:
                click.echo(f"\r{answer['left']} of {answer['of']} left \r", nl=False, err=True)
    if not as_json and answer.get("done"):
        click.echo(f"entry {show.safe(entry)} is empty; it can be removed from the setup")
    elif not as_json:
        click.echo(f"{show.safe(entry)}: not emptied any more, {answer.get('left')} left")
    return Exit.FINE if answer.get("done") else Exit.PENDING
