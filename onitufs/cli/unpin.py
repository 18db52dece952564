"""`onitufs unpin`"""

import click

from . import show
from .asking import json_option, one_path

HELP = """End a pin: the bytes may be let go of again when room is needed.

\b
Example:
  onitufs unpin ~/Onitu/music
"""


@click.command("unpin", help=HELP, short_help="End a pin.")
@click.argument("path")
@json_option
def command(path: str, as_json: bool) -> int:
    conversation, place = one_path(path)
    with conversation as daemon:
        answer = daemon.ask("unpin", **place)
    if as_json:
        show.as_json(answer)
    elif answer.get("pinned"):
        click.echo(f"{show.path(answer)}: still pinned, by {show.text(answer, 'pinned_by')}")
    else:
        click.echo(f"{show.path(answer)}: {'not pinned any more' if answer.get('was_pinned') else 'was not pinned'}")
    return 0
