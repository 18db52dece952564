"""The group of all commands, and how every one of them ends: one line on stderr and an exit status that means it."""

import os
import sys
from typing import Any

import click

import onitufs
from onitufs.model.errors import Exit

from . import mount_helper
from .failures import told
from .lazy import LazyGroup

COMMANDS = {
    "mount": "mount",
    "umount": "umount",
    "status": "status",
    "whereis": "whereis",
    "explain": "explain",
    "wait": "wait",
    "entry": "entry",
    "auth": "auth",
    "plan": "plan",
    "scrub": "scrub",
    "conflicts": "conflicts",
    "events": "events",
    "pin": "pin",
    "unpin": "unpin",
    "free": "free",
    "history": "history",
    "restore": "restore",
    "log": "log",
    "check": "check",
    "drivers": "drivers",
    "doctor": "doctor",
    "install-helper": "install_helper",
    "completion": "completion",
    "man": "man",
    "unit": "unit",
    "version": "version",
}

HELP = """One directory whose files are kept where your rules say.

\b
Examples:
  onitufs mount setup.json ~/Onitu
  onitufs status ~/Onitu
  onitufs umount ~/Onitu

\b
Exit status:
  0  fine (status, wait: everything is where the rules want it)
  1  a bug            2  usage, or an invalid setup   3  no such path or entry
  4  no daemon, or an unusable mount point            5  work is pending
  6  an entry cannot be reached   7  an entry needs a person   8  an entry is full
  9  the time ran out with work pending              10  already running

Every `onitufs SETUP MOUNTPOINT -o OPTIONS` is a mount, as mount(8) asks for it from /etc/fstab.
"""


class Program(LazyGroup):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and len(args) > 1 and ("/" in args[0] or os.path.isfile(args[0])):
            args = ["mount", *args]  # mount.fuse3 runs: onitufs SETUP MOUNTPOINT -o OPTIONS
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"onitufs {onitufs.__version__}")
        ctx.exit()


program = Program(
    name="onitufs",
    modules=COMMANDS,
    help=HELP,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version and exit.",
        )
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status. Nothing is raised, except with ONITUFS_DEBUG=1."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if arguments is None and mount_helper.is_it(sys.argv[0]):
        arguments = mount_helper.translated(sys.argv[1:])
        if arguments is None:
            return Exit.FINE
    try:
        status: Any = program.main(arguments, prog_name="onitufs", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.Abort:
        return 130  # by Ctrl-C, as the shell says it: 128 + SIGINT
    except (BrokenPipeError, SystemExit):  # the latter is what click makes of the former
        _close_stdout()
        return Exit.FINE
    except BaseException as error:  # the border: whatever it is, a person reads one line
        lines, exit_status = told(error)
        for line in lines:
            print(f"onitufs: {line}", file=sys.stderr)  # noqa: T201
        if exit_status == Exit.BUG and os.environ.get("ONITUFS_DEBUG"):
            raise
        return exit_status
    return int(status or 0)


def _close_stdout() -> None:
    """Whoever read our output has left; nothing is to be written to it at exit either."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
