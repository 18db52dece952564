"""`onitufs install-helper`"""

import os
import stat
import sys

import click

from onitufs.model.errors import NotPossible

from . import mount_helper, show
from .asking import json_option

HELP = """Put links to this program where mount(8) and everybody's PATH find it.

/usr/local/bin/onitufs and /sbin/mount.fuse.onitufs, so that lines in /etc/fstab work for root, at boot and for users.
Only root can. Doing it again changes nothing; what is there and is not ours stays.

\b
Examples:
  sudo .venv/bin/onitufs install-helper --dry-run
  sudo .venv/bin/onitufs install-helper
  sudo onitufs install-helper --uninstall
"""

PROGRAM = "onitufs"
PLACES = (f"/usr/local/bin/{PROGRAM}", f"/sbin/{mount_helper.NAME}")


@click.command("install-helper", help=HELP, short_help="Let mount(8) and /etc/fstab find this program.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@click.option("--uninstall", is_flag=True, help="Take the links away again.")
@json_option
def command(dry_run: bool, uninstall: bool, as_json: bool) -> int:
    program = this_program()
    steps = [(step, place) for place in PLACES if (step := _step(place, program, uninstall)) is not None]
    if steps and not dry_run and os.geteuid() != 0:
        raise NotPossible(f"only root may change {PLACES[0]} and {PLACES[1]}: sudo {program} install-helper")
    if not dry_run:
        for step, place in steps:
            _do(step, place, program)
    warning = None if uninstall else _in_other_hands(program)
    if as_json:
        done = [{"step": step, "path": place} for step, place in steps]
        show.as_json({"program": program, "steps": done, "dry_run": dry_run, "warning": warning})
        return 0
    said = {"link": "{} -> {}", "replace": "{} -> {} (led elsewhere before)", "remove": "removed {}"}
    for step, place in steps:
        click.echo(("would do: " if dry_run else "") + said[step].format(place, show.safe(program)))
    if not steps:
        click.echo("nothing to do")
    if warning is not None:
        click.echo(f"onitufs: {show.safe(warning)}", err=True)
    return 0


def this_program() -> str:
    """The script that runs us, not a link to it: in the directory of its own Python, or where it was called."""
    beside = os.path.join(sys.prefix, "bin", PROGRAM)
    found = beside if os.path.exists(beside) else os.path.realpath(sys.argv[0])
    if not os.access(found, os.X_OK) or os.path.basename(found) != PROGRAM:
        raise NotPossible(f"{found}: is not the program {PROGRAM}: call the one that pip has installed")
    return found


def _step(place: str, program: str, uninstall: bool) -> str | None:
    """What is to be done at a place, None: nothing. Raises NotPossible if something is there that is not ours."""
    if os.path.realpath(place) == os.path.realpath(program) and not os.path.islink(place):
        return None  # pip has installed it there
    if not os.path.lexists(place):
        return None if uninstall else "link"
    if not os.path.islink(place) or os.path.basename(os.readlink(place)) != PROGRAM:
        if uninstall:
            return None
        raise NotPossible(f"{place}: is there and is no link to an {PROGRAM}: look at it, and remove it if you agree")
    if uninstall:
        return "remove"
    return None if os.readlink(place) == program else "replace"


def _do(step: str, place: str, program: str) -> None:
    try:
        if step == "remove":
            os.unlink(place)
            return
        os.makedirs(os.path.dirname(place), exist_ok=True)
        draft = f"{place}.new"
        os.symlink(program, draft)
        os.rename(draft, place)
    except OSError as error:
        raise NotPossible(f"{place}: {error.strerror}") from error


def _in_other_hands(program: str) -> str | None:
    """Root will run this program at every mount: a warning if others can change it."""
    path = os.path.realpath(program)
    while path != "/":
        found = os.lstat(path)
        loose = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
        if found.st_uid != 0 or loose:
            return (
                f"{path} can be changed by others than root, and root will run {program}: unless you trust them as"
                " much, install OnituFS in a place of root's, as with 'sudo pipx install --global'"
            )
        path = os.path.dirname(path)
    return None
