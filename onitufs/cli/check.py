"""`onitufs check`"""

import os
from functools import partial
from pathlib import Path

import click

from onitufs.model.errors import Exit, SetupError

from . import show
from .asking import json_option

HELP = """Say everything that is wrong with a setup, and try each of its entries.

Nothing is changed on the entries. With --offline they are not tried.

\b
Examples:
  onitufs check setup.json
  onitufs check setup.json --offline
"""


@click.command("check", help=HELP, short_help="Find what is wrong with a setup.")
@click.argument("setup")
@click.option("--offline", is_flag=True, help="Do not try the entries.")
@json_option
def command(setup: str, offline: bool, as_json: bool) -> int:
    import trio

    from onitufs.control import runtime
    from onitufs.daemon.checking import check

    os.environ["HOME"] = runtime.home()  # as the daemon will see it
    try:
        read, entries = trio.run(partial(check, Path(setup), offline=offline))
    except SetupError as error:
        if not as_json:
            raise
        show.as_json({"setup": setup, "problems": error.problems, "entries": []})
        return error.exit_status
    if as_json:
        tried = [
            {"name": entry.name, "driver": entry.driver, "problem": entry.problem, "tried": not offline}
            for entry in entries
        ]
        show.as_json({"setup": setup, "name": read.name, "problems": [], "entries": tried})
    else:
        counted = f"{show.count(len(read.entries), 'entry', 'entries')}, {show.count(len(read.rules), 'rule', 'rules')}"
        click.echo(f"{show.safe(setup)}: {counted}: well-formed")
        if not offline and entries:
            rows = [[show.safe(entry.name), entry.driver, show.safe(entry.problem) or "answers"] for entry in entries]
            for line in show.table(rows):
                click.echo(line)
    return max((entry.exit_status for entry in entries), default=Exit.FINE)
