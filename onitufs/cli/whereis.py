"""`onitufs whereis`"""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from . import show
from .asking import json_option, one_path

HELP = """Show on which entries a file is, and in which state.

\b
Example:
  onitufs whereis ~/Onitu/backedup/report.pdf
"""


@click.command("whereis", help=HELP, short_help="Show on which entries a file is.")
@click.argument("path")
@json_option
def command(path: str, as_json: bool) -> int:
    conversation, place = one_path(path)
    with conversation as daemon:
        answer = daemon.ask("whereis", **place)
    if as_json:
        show.as_json(answer)
    else:
        for line in _lines(answer):
            click.echo(line)
    return 0


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    facts = [show.text(answer, "kind"), show.size(answer.get("size")), show.text(answer, "state")]
    yield f"{show.path(answer)}: {', '.join(fact for fact in facts if fact)}"
    rows = []
    if answer.get("here"):
        rows.append(["here", "current", "in the local store", ""])
    copies = answer.get("copies", [])
    for copy in copies:
        verified = f"verified {show.text(copy, 'verified')}" if copy.get("verified") else ""
        rows.append([show.text(copy, "entry"), show.text(copy, "state"), show.path(copy), verified])
    held = {copy.get("entry") for copy in copies}
    rows += [[show.safe(entry), "wanted there", "", ""] for entry in answer.get("wanted", []) if entry not in held]
    if rows:
        yield from show.table(rows)
    for problem in answer.get("problems", []):
        remedy = f": {show.text(problem, 'remedy')}" if problem.get("remedy") else ""
        yield f"  {show.text(problem, 'entry')}: {show.text(problem, 'reason')}{remedy}"
