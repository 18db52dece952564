"""`onitufs mount`: starts the daemon and returns when the mount answers."""

import os

import click

from onitufs.control import runtime
from onitufs.daemon.options import MountOptions
from onitufs.model.errors import Exit

from .mount_options import parse
from .mount_point import usable

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
@click.option("--ready-fd", type=int, hidden=True)
def command(
    setup: str,
    mountpoint: str,
    foreground: bool,
    state: str | None,
    allow_other: bool,
    xattr: bool,
    mount_options: tuple[str, ...],
    ready_fd: int | None,
) -> int:
    options, state_option = parse(MountOptions(allow_other=allow_other, xattr=xattr), mount_options)
    state = state or state_option
    setup = os.path.abspath(setup)
    os.environ.setdefault("PATH", DEFAULT_PATH)
    os.environ["HOME"] = runtime.home()  # mount(8) says /root to everybody
    point = usable(mountpoint, allow_other=options.allow_other)
    if foreground or ready_fd is not None:
        from . import foreground as daemon

        return daemon.run(setup, point, options, state and os.path.abspath(state), ready_fd)
    from onitufs.daemon import detach

    arguments = ["mount", setup, point]
    arguments += ["--state", os.path.abspath(state)] if state else []
    arguments += ["--allow-other"] if allow_other else []
    arguments += ["--xattr"] if xattr else []
    arguments += [part for given in mount_options for part in ("-o", given)]
    detach.start("onitufs.cli", arguments)
    return Exit.FINE
