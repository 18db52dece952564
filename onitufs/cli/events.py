"""`onitufs events`"""

from collections.abc import Mapping
from typing import Any

import click

from . import show
from .asking import json_option, mount_option, whole_mount

HELP = """Show what happened last, and with --follow what happens: saved, placed, removed, arrived, conflicts, entries.

A program that reads too slowly misses events and is told how many ("lost"); it never holds anything up.

\b
Examples:
  onitufs events
  onitufs events --follow
  onitufs events --follow -n 0 --json | jq -r 'select(.event == "placed") | .path'
"""


@click.command("events", help=HELP, short_help="Show what happens.")
@click.option("-f", "--follow", is_flag=True, help="Go on, until Ctrl-C.")
@click.option("-n", "--lines", "count", type=click.IntRange(min=0), default=50, show_default=True, help="Last events.")
@mount_option
@json_option
def command(follow: bool, count: int, mount: str | None, as_json: bool) -> int:
    try:
        with whole_mount(mount) as daemon:
            for event in daemon.stream("events", recent=count, follow=follow):
                if as_json:
                    show.as_json(event)
                else:
                    click.echo(_line(event))
    except KeyboardInterrupt:
        pass  # the way to end --follow
    return 0


def _line(event: Mapping[str, Any]) -> str:
    if event.get("event") == "lost":
        return f"... {show.count(event.get('lost', 0), 'event', 'events')} missed here"
    parts = [show.text(event, "time"), show.text(event, "event")]
    if event.get("event") == "entry":
        parts += [f"{show.text(event, 'entry')}: {show.text(event, 'health')}"]
        parts += [f"({show.text(event, 'message')})"] if event.get("message") else []
        return " ".join(parts)
    if "path" in event:
        parts.append(show.path(event))
    if "entry" in event:
        parts.append(f"{_BEFORE_ENTRY.get(event['event'], 'on')} {show.text(event, 'entry')}")
    if "kept" in event:
        parts.append(f"(kept as {show.text(event, 'kept')})")
    return " ".join(parts)


_BEFORE_ENTRY = {"removed": "from", "arrived": "from", "moved": "on", "placed": "on"}
