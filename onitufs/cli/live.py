"""The live picture of `status --watch`: the verdict, the entries, and a bar for each transfer under way."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from . import show, verdict

MOST_BARS = 12


def draw(glances: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Draw each status and pass it on."""
    with Live(console=Console(), auto_refresh=False) as live:
        for status in glances:
            live.update(picture(status), refresh=True)
            yield status


def picture(status: Mapping[str, Any]) -> RenderableType:
    """Every name goes in as Text: what looks like rich's markup in a file name stays what it is."""
    safe = status["verdict"] == "safe"
    parts: list[RenderableType] = [Text(verdict.line(status), style="bold green" if safe else "bold yellow")]
    entries = Table.grid(padding=(0, 2))
    bars = Table.grid(padding=(0, 2))
    running = 0
    for entry in status.get("entries", []):
        healthy = entry.get("health") == "up"
        entries.add_row(
            Text(show.text(entry, "name")),
            Text(show.text(entry, "health"), style="green" if healthy else "red"),
            Text(f"{entry.get('queued', 0)} queued"),
            Text(show.text(entry, "message")),
        )
        for transfer in entry.get("running", []):
            running += 1
            if running <= MOST_BARS:
                bars.add_row(*_transfer(entry, transfer))
    parts += [entries, bars]
    if running > MOST_BARS:
        parts.append(Text(f"and {running - MOST_BARS} more"))
    return Group(*parts)


def _transfer(entry: Mapping[str, Any], transfer: Mapping[str, Any]) -> list[RenderableType]:
    done, total, rate = transfer.get("bytes") or 0, transfer.get("of") or 0, transfer.get("bytes_per_s")
    name = Text(f"{show.path(transfer)} -> {show.text(entry, 'name')}", no_wrap=True, overflow="ellipsis")
    return [
        name,
        ProgressBar(total=total or 1, completed=done, width=30),
        Text(f"{show.size(done)} of {show.size(total)}"),
        Text(f"{show.size(rate)}/s" if rate else ""),
    ]
