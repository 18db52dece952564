"""`onitufs free`"""

import click

from onitufs.model.errors import Exit

from . import show
from .asking import json_option, one_path

HELP = """Let go of the bytes on this machine, of a file or of everything below a directory.

Each entry that the rules name is asked first whether it holds them. What cannot go is shown with the reason; the
command then ends with status 5. The files stay in the mount and are fetched again when a program reads them.

\b
Examples:
  onitufs free ~/Onitu/films
  onitufs free ~/Onitu/films --json
"""


@click.command("free", help=HELP, short_help="Let go of bytes that the entries hold.")
@click.argument("path")
@json_option
def command(path: str, as_json: bool) -> int:
    conversation, place = one_path(path)
    kept = 0
    with conversation as daemon:
        for answer in daemon.stream("free", **place):
            if as_json:
                show.as_json(answer)
            elif reason := answer.get("reason"):
                click.echo(f"{show.path(answer)}: stays here: {show.safe(str(reason))}")
            if answer.get("done"):
                kept = answer.get("kept", 0)
                if not as_json:
                    freed = show.files(answer.get("files", 0))
                    click.echo(f"{freed} freed, {show.size(answer.get('freed'))}" + (f"; {kept} kept" if kept else ""))
    return Exit.PENDING if kept else Exit.FINE
