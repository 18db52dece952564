"""`onitufs wait`"""

import click

from onitufs.model.errors import Exit

from . import show, verdict
from .asking import Duration, json_option, one_path, whole_mount

HELP = """Return when every file is where the rules want it: in the whole mount, or at and below PATH.

Ends with status 9 if the time runs out first.

\b
Examples:
  onitufs wait
  onitufs wait ~/Onitu/backedup --timeout 10m
"""


@click.command("wait", help=HELP, short_help="Return when everything is placed.")
@click.argument("path", required=False)
@click.option("--timeout", type=Duration(), metavar="DURATION", help="How long at the most, e.g. 90s or 10m.")
@json_option
def command(path: str | None, timeout: float | None, as_json: bool) -> int:
    conversation, place = (whole_mount(None), {}) if path is None else one_path(path)
    with conversation as daemon:
        answer = daemon.ask("wait", patience_s=None, timeout_s=timeout, **place)
    if as_json:
        show.as_json(answer)
    elif answer["done"]:
        click.echo(verdict.line({"verdict": "safe", "files": answer}))
    else:
        failing = f", {answer['failing']} failing" if answer.get("failing") else ""
        click.echo(f"the time ran out: {answer.get('pending', 0)} pending{failing}")
    return Exit.FINE if answer["done"] else Exit.TIMED_OUT
