"""`onitufs conflicts resolve`"""

import click

from . import show
from .asking import json_option, one_path

HELP = """End a conflict by choosing which of its files to keep.

PATH is either of the two. The one that is kept alone gets the name that both wanted; the other one is deleted as in the
mount, and can be brought back for as long as anything deleted. With --keep both they stay as they are and are no
conflict any more.

\b
Examples:
  onitufs conflicts resolve "report (conflicted copy from nas 2026-03-01).pdf" --keep this
  onitufs conflicts resolve report.pdf --keep both
"""


@click.command("resolve", help=HELP, short_help="Choose which file of a conflict to keep.")
@click.argument("path")
@click.option(
    "--keep", required=True, type=click.Choice(["this", "other", "both"]), help="The file at PATH, the other, or both."
)
@json_option
def command(path: str, keep: str, as_json: bool) -> int:
    conversation, place = one_path(path)
    with conversation as daemon:
        answer = daemon.ask("resolve", keep=keep, **place)
    if as_json:
        show.as_json(answer)
    elif keep == "both":
        click.echo(f"{show.path(answer)}: both stay")
    elif "renamed_from" in answer:
        click.echo(f"{show.path(answer['renamed_from'])}: kept, and now named {show.path(answer)}")
    else:
        click.echo(f"{show.path(answer)}: kept as it is")
        for deleted in answer.get("deleted", []):
            click.echo(f"{show.path(deleted)}: deleted")
    return 0
