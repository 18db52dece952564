"""`onitufs restore`"""

import click

from onitufs.control.protocol import path_fields, path_of

from . import show
from .asking import json_option, one_path

HELP = """Bring back a version of a file: the newest one that `onitufs history` shows, or the one that --rev names.

What has the name now is not lost: it goes to history. For a directory, the newest version of every file that was
deleted below it and whose name is free is brought back.

\b
Examples:
  onitufs restore ~/Onitu/report.pdf
  onitufs restore ~/Onitu/report.pdf --rev 2f31 --to ~/Onitu/report-of-monday.pdf
  onitufs restore ~/Onitu/photos
"""


@click.command("restore", help=HELP, short_help="Bring back a version of a file, or a directory.")
@click.argument("path")
@click.option("--rev", metavar="REV", help="Which version; default: the newest.")
@click.option("--to", metavar="PATH", help="Another name in the same mount, which has to be free.")
@json_option
def command(path: str, rev: str | None, to: str | None, as_json: bool) -> int:
    conversation, place = one_path(path)
    with conversation as daemon:
        if to is not None:
            other, target = one_path(to)
            with other:
                if other.daemon != daemon.daemon:
                    raise click.UsageError(f"--to: {to} is in another mount")
            place |= path_fields(path_of(target) or b"", "to")
        restored = 0
        for answer in daemon.stream("restore", rev=rev, **place):
            restored += 1
            if as_json:
                show.as_json(answer)
            else:
                click.echo(f"{show.path(answer)}: {show.size(answer.get('size'))}, version {show.text(answer, 'rev')}")
    if not restored and not as_json:
        click.echo("nothing to bring back: every name is taken")
    return 0
