"""`onitufs drivers`"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from . import show
from .asking import json_option

if TYPE_CHECKING:
    from onitufs.drivers.manifest import Manifest

HELP = """List the drivers that are installed, or show what one of them can do and which options it has.

\b
Examples:
  onitufs drivers
  onitufs drivers local_storage
"""


@click.command("drivers", help=HELP, short_help="Show the drivers and their options.")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> int:
    from onitufs.drivers.registry import Registry
    from onitufs.model.errors import SetupError

    registry = Registry()
    if name is not None:
        manifest = registry.get(name).manifest
        if as_json:
            show.as_json(_fields(manifest))
        else:
            for line in _lines(manifest):
                click.echo(line)
        return 0
    rows = []
    broken: list[str] = []
    for known in registry.names():
        try:
            manifest = registry.get(known).manifest
        except SetupError as error:
            broken += error.problems
            continue
        if as_json:
            show.as_json(_fields(manifest))
        rows.append([show.safe(manifest.name), show.safe(manifest.description)])
    if rows and not as_json:
        for line in show.table(rows, indent=""):
            click.echo(line)
    if broken:
        raise SetupError(broken)
    return 0


def _fields(manifest: "Manifest") -> dict[str, Any]:
    options = [
        {"name": option.name, "type": option.type, "help": option.help, "required": option.required,
         "default": option.default}
        for option in manifest.options
    ]  # fmt: skip
    return {
        "name": manifest.name,
        "description": manifest.description,
        "velocity": manifest.velocity,
        "abilities": sorted(manifest.abilities),
        "options": options,
    }


def _lines(manifest: "Manifest") -> Iterator[str]:
    yield f"{show.safe(manifest.name)}: {show.safe(manifest.description)}"
    yield f"  velocity {manifest.velocity:g}; {', '.join(sorted(manifest.abilities)) or 'no abilities'}"
    yield "options:" if manifest.options else "no options"
    rows = []
    for option in manifest.options:
        if option.required:
            default = "required"
        else:
            default = "optional" if option.default is None else f"default {show.safe(json.dumps(option.default))}"
        rows.append([show.safe(option.name), option.type, default, show.safe(option.help)])
    if rows:
        yield from show.table(rows)
