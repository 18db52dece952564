"""`onitufs mount`: starts the daemon and returns when the mount answers."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onitufs.control import runtime
from onitufs.daemon.options import MountOptions
from onitufs.model.errors import Exit

from .mount_options import parse
from .mount_point import usable

if TYPE_CHECKING:
    from onitufs.setup import Setup

HELP = """Mount the tree of SETUP at MOUNTPOINT, an existing directory.

Returns when the mount answers; the daemon goes on in the background. SIGTERM ends it (what is not placed waits for the
next mount), SIGHUP makes it read the setup again.

\b
Examples:
  onitufs mount setup.json ~/Onitu
  onitufs mount setup.json ~/Onitu --foreground
  sudo onitufs mount /etc/onitufs/office.json /srv/office --allow-other

\b
As a line in /etc/fstab:
  /home/me/setup.json  /home/me/Onitu  fuse.onitufs  noauto,user,_netdev  0 0
"""

# what mount(8) leaves us without; fusermount3 and what drivers run have to be found
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@click.command("mount", help=HELP, short_help="Mount the tree of a setup.")
@click.argument("setup")
@click.argument("mountpoint")
@click.option("--foreground", "-f", is_flag=True, help="Stay, and log to stderr too; for a service manager.")
@click.option("--state", metavar="DIR", help="Where the local store lives [~/.local/share/onitufs/NAME].")
@click.option("--allow-other", is_flag=True, help="Let other users in, as modes and owners permit.")
@click.option("--xattr", is_flag=True, help="Keep extended attributes; writing many small pieces gets slower.")
@click.option("-o", "mount_options", multiple=True, metavar="OPTIONS", help="Options as in /etc/fstab.")
def command(
    setup: str,
    mountpoint: str,
    foreground: bool,
    state: str | None,
    allow_other: bool,
    xattr: bool,
    mount_options: tuple[str, ...],
) -> int:
    options, state_option = parse(MountOptions(allow_other=allow_other, xattr=xattr), mount_options)
    state = state or state_option
    setup = os.path.abspath(setup)
    os.environ.setdefault("PATH", DEFAULT_PATH)
    os.environ["HOME"] = runtime.home()  # mount(8) says /root to everybody
    point = usable(mountpoint, allow_other=options.allow_other)
    state = state and os.path.abspath(state)
    from onitufs.daemon import detach

    def serve(caller: detach.Caller) -> int:
        from . import foreground as daemon

        return daemon.run(setup, point, options, state, caller)

    if foreground:
        return serve(detach.Caller())
    detach.start(serve, gift=lambda: _read(setup))
    return Exit.FINE


def _read(setup: str) -> "Setup":
    from onitufs.setup import load

    return load(Path(setup))
