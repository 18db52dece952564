"""`onitufs scrub`"""

import sys

import click

from onitufs.model.errors import Exit

from . import show
from .asking import json_option, mount_option, whole_mount

HELP = """Read again what the entries hold, and compare it with what they should hold.

Whatever differs is shown and then put right. Without ENTRY all entries are read. Ends with status 5 if something
differed.

\b
Examples:
  onitufs scrub
  onitufs scrub nas --json
"""


@click.command("scrub", help=HELP, short_help="Reread the entries and compare.")
@click.argument("entry", required=False)
@mount_option
@json_option
def command(entry: str | None, mount: str | None, as_json: bool) -> int:
    on_terminal = sys.stderr.isatty() and not as_json
    wrong = checked = 0
    with whole_mount(mount) as daemon:
        for answer in daemon.stream("scrub", entry=entry):
            if as_json:
                show.as_json(answer)
            if answer.get("done"):
                checked, wrong = answer.get("checked", checked), answer.get("wrong", wrong)
            elif "problem" in answer:
                wrong += 1
                if not as_json:
                    remedy = f": {show.text(answer, 'remedy')}" if answer.get("remedy") else ""
                    click.echo(
                        f"{show.text(answer, 'entry')}: {show.path(answer)}: {show.text(answer, 'problem')}{remedy}"
                    )
            elif on_terminal:
                click.echo(f"\r{answer.get('checked', 0)} of {answer.get('of', '?')} \r", nl=False, err=True)
    if not as_json:
        differ = show.count(wrong, "differs and is", "differ and are")
        click.echo(
            f"{show.count(checked, 'copy', 'copies')} checked, "
            + (f"{differ} being put right" if wrong else "all as they should be")
        )
    return Exit.PENDING if wrong else Exit.FINE
