"""`onitufs unit`"""

from importlib.resources import files

import click

from .install_helper import PLACES, this_program

HELP = """Print the systemd unit onitufs@.service for a user's own mounts.

onitufs@NAME mounts ~/.config/onitufs/NAME.json at ~/NAME.

\b
Example:
  onitufs unit > ~/.config/systemd/user/onitufs@.service
  systemctl --user enable --now onitufs@home
"""


@click.command("unit", help=HELP, short_help="Print a systemd unit for a user's mounts.")
def command() -> int:
    text = files("onitufs.shipped").joinpath("onitufs@.service").read_text(encoding="utf-8")
    click.echo(text.replace(PLACES[0], this_program().replace("%", "%%")), nl=False)
    return 0
