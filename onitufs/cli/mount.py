"""`onitufs mount`: starts the daemon and returns when the mount answers."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onitufs.control import runtime
from onitufs.daemon import account, detach
from onitufs.daemon.options import MountOptions
from onitufs.model.errors import Exit

from . import fstab_line
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

Root's mount serves the owner of SETUP: the daemon runs as that user, who then can ask and end it. -o setuid=USER names
another.
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
@click.option("--print-fstab", is_flag=True, help="Print the line for /etc/fstab that does the same; mount nothing.")
@click.option("-o", "mount_options", multiple=True, metavar="OPTIONS", help="Options as in /etc/fstab.")
def command(
    setup: str,
    mountpoint: str,
    foreground: bool,
    state: str | None,
    allow_other: bool,
    xattr: bool,
    print_fstab: bool,
    mount_options: tuple[str, ...],
) -> int:
    options = parse(MountOptions(allow_other=allow_other, xattr=xattr), mount_options)
    if state := state or options.state:
        options = replace(options, state=os.path.abspath(state))
    setup = os.path.abspath(setup)
    if print_fstab:
        click.echo(fstab_line.line(setup, os.path.abspath(mountpoint), options, mount_options))
        return Exit.FINE
    os.environ.setdefault("PATH", DEFAULT_PATH)
    served = account.to_serve(setup, options.setuid)
    if served is None:
        os.environ["HOME"] = runtime.home()  # mount(8) says /root to everybody
    point = usable(mountpoint, allow_other=options.allow_other)
    connection = None
    if served is not None:
        from onitufs.fuse import for_another

        connection = for_another.connect(point, options.for_kernel(setup), uid=served.uid, gid=served.gid)

    def serve(caller: detach.Caller) -> int:
        if served is not None:
            account.become(served)
        from . import foreground as daemon

        return daemon.run(setup, point, options, caller, connection)

    if foreground:
        return serve(detach.Caller())
    try:
        # what belongs to somebody else is not for root to read
        gift = None if served is not None else lambda: _read(setup)
        detach.start(serve, gift=gift, kept=() if connection is None else (connection,))
    except BaseException:
        if served is not None:
            _take_away(point, served)
        raise
    return Exit.FINE


def _take_away(point: str, served: account.Account) -> None:
    """Take away a mount that nobody serves. As the one to whom it belongs: who could have put another at this path."""
    from onitufs.fuse import mount_points

    account.become(served)
    there = mount_points.mounted_at(point)
    if there is not None and there.type == mount_points.TYPE:
        mount_points.detach(point)


def _read(setup: str) -> "Setup":
    from onitufs.setup import load

    return load(Path(setup))
