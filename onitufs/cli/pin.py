"""`onitufs pin`"""

import click

from . import show
from .asking import json_option, one_path

HELP = """Keep the bytes of a file on this machine, or of everything below a directory: now, and what comes later.

What is only on an entry is fetched. Pinned files are never let go of to make room.

\b
Example:
  onitufs pin ~/Onitu/music
"""


@click.command("pin", help=HELP, short_help="Keep files on this machine.")
@click.argument("path")
@json_option
def command(path: str, as_json: bool) -> int:
    conversation, place = one_path(path)
    with conversation as daemon:
        answer = daemon.ask("pin", **place)
    if as_json:
        show.as_json(answer)
    else:
        number = answer.get("to_fetch", 0)
        fetched = f", {show.files(number)} ({show.size(answer.get('bytes_to_fetch'))}) being fetched" if number else ""
        click.echo(f"{show.path(answer)}: pinned{fetched}")
    return 0
