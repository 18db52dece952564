"""`onitufs version`"""

import platform

import click

import onitufs

from . import show
from .asking import json_option

HELP = """Show the version, and what it runs on.

\b
Example:
  onitufs version
"""


@click.command("version", help=HELP, short_help="Show the version.")
@json_option
def command(as_json: bool) -> int:
    facts = {"version": onitufs.__version__, "python": platform.python_version(), "kernel": platform.release()}
    if as_json:
        show.as_json(facts)
    else:
        click.echo("onitufs {version} (Python {python}, Linux {kernel})".format(**facts))
    return 0
