"""`onitufs explain`"""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from . import show
from .asking import Size, json_option, one_path

HELP = """Show which rules decide where a file goes, also for a file that is not there yet.

\b
Examples:
  onitufs explain ~/Onitu/backedup/report.pdf
  onitufs explain ~/Onitu/films/new.mkv --mime video/x-matroska --size "4 GiB"
"""


@click.command("explain", help=HELP, short_help="Show which rules decide where a file goes.")
@click.argument("path")
@click.option("--mime", metavar="TYPE", help="Decide as if the file had this media type.")
@click.option("--size", type=Size(), metavar="SIZE", help='Decide as if it had this size, e.g. "100 MB".')
@json_option
def command(path: str, mime: str | None, size: int | None, as_json: bool) -> int:
    conversation, place = one_path(path)
    with conversation as daemon:
        answer = daemon.ask("explain", media_type=mime, size=size, **place)
    if as_json:
        show.as_json(answer)
    else:
        for line in _lines(answer):
            click.echo(line)
    return 0


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    targets = [show.safe(str(entry)) for entry in answer.get("targets", [])]
    copies = answer.get("copies")
    where = ", ".join(targets) if targets else "only here: no rule names an entry"
    if copies is not None and copies < len(targets):
        where = f"{copies} of {where}"
    yield f"{show.path(answer)} -> {where}"
    facts = [
        "" if answer.get("exists") else "not there yet",
        show.text(answer, "kind"),
        show.text(answer, "media_type"),
        show.size(answer.get("size")),
    ]
    yield f"  taken as: {', '.join(fact for fact in facts if fact)}"
    yield from show.table([_reason(reason) for reason in answer.get("reasons", [])])


def _reason(reason: Mapping[str, Any]) -> list[str]:
    changes = [f"+{show.safe(str(entry))}" for entry in reason.get("added") or []]
    changes += [f"-{show.safe(str(entry))}" for entry in reason.get("removed") or []]
    return [show.text(reason, "source"), " ".join(changes), show.text(reason, "text")]
