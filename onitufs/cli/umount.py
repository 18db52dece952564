"""`onitufs umount`"""

import contextlib
import errno
import os
import select
import sys
from typing import Any

import click

from onitufs.control import client, runtime
from onitufs.control.holders import holders
from onitufs.model.errors import Exit, NoDaemon

from . import show, verdict
from .asking import Duration, json_option

HELP = """Unmount, after waiting until every file is where the rules want it.

What is not placed when the time runs out (or with --now) stays in the local store, and is placed after the next mount.

\b
Examples:
  onitufs umount ~/Onitu
  onitufs umount ~/Onitu --timeout 5m
  onitufs umount ~/Onitu --now
"""

GLANCE_S = 1.0
FAREWELL_S = 60  # from its answer to the daemon's end: syncing and folding


@click.command("umount", help=HELP, short_help="Unmount when everything is placed.")
@click.argument("mountpoint", required=False)
@click.option(
    "--timeout", type=Duration(), metavar="DURATION", help="Wait this long at the most; ends with 9 if work is left."
)
@click.option("--now", is_flag=True, help="Do not wait.")
@json_option
def command(mountpoint: str | None, timeout: float | None, now: bool, as_json: bool) -> int:
    try:
        daemon, _ = runtime.find(mountpoint)
    except NoDaemon:
        if mountpoint is None or not _clear(mountpoint):
            raise
        click.echo(f"{show.safe(mountpoint)}: the daemon was gone; cleared what was left of the mount")
        return Exit.FINE
    # by its pid the process could be mistaken for another after it ended, by this descriptor it cannot
    process = os.pidfd_open(daemon.pid)
    try:
        with client.Conversation(daemon) as conversation:
            conversation.send("stop", timeout_s=timeout, now=now)
            try:
                answer = _await_answer(daemon, conversation, quiet=as_json)
            except KeyboardInterrupt:
                click.echo("\nstill mounted", err=True)
                raise
        if answer.get("busy"):
            raise NoDaemon(_in_use(daemon.mount))
        if not select.select([process], [], [], FAREWELL_S)[0]:
            raise NoDaemon(
                f"{daemon.mount}: unmounted, but its daemon (pid {daemon.pid}) has not ended after {FAREWELL_S} s:"
                f" see {daemon.state}/log/onitufs.log"
            )
    finally:
        os.close(process)
    return _say(answer, now=now, as_json=as_json)


def _say(answer: dict[str, Any], *, now: bool, as_json: bool) -> int:
    if as_json:
        show.as_json(answer)
    elif answer["done"]:
        click.echo("unmounted; everything is placed")
    else:
        left = show.count(answer.get("pending", 0), "file waits", "files wait")
        click.echo(f"unmounted; {left} in the local store for the next mount")
    return Exit.FINE if answer["done"] or now else Exit.TIMED_OUT


def _await_answer(daemon: runtime.Daemon, stopping: client.Conversation, *, quiet: bool) -> dict[str, Any]:
    """The answer to `stop`; until it comes, show what is being waited for."""
    on_terminal = sys.stderr.isatty()
    shown = ""
    while True:
        try:
            answer = stopping.receive(GLANCE_S)
        except client.Silent:
            # in a conversation of its own: the other one is taken; that it fails means only that the end is near
            with contextlib.suppress(NoDaemon, client.Refused), client.Conversation(daemon) as asking:
                line = f"waiting: {verdict.line(asking.ask('status'))}"
                if not quiet and line != shown:
                    if not shown:
                        click.echo("(Ctrl-C goes on without unmounting; --now leaves the rest for later)", err=True)
                    click.echo(f"\r\x1b[K{line}" if on_terminal else line, nl=not on_terminal, err=True)
                    shown = line
            continue
        if shown and on_terminal:
            click.echo(err=True)
        if answer is None:
            raise NoDaemon(f"{daemon.mount}: the daemon gave no answer")
        return answer


def _in_use(mount: str) -> str:
    found = holders(mount)
    if not found:
        return f"{mount}: in use, by processes that only root can see: end them, or `onitufs umount` as root"
    named = ", ".join(f"{holder.command} (pid {holder.pid}: {holder.what})" for holder in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"{mount}: in use by {named}{more}: end them or leave the directory, then try again; nothing was changed"


def _clear(mountpoint: str) -> bool:
    """Detach a mount whose daemon is dead. Returns whether there was one. Raises NoDaemon if it is not dead."""
    from onitufs.fuse import mount_points

    point = mount_points.resolved(mountpoint)
    there = mount_points.mounted_at(point)
    if there is None or there.type != mount_points.TYPE:
        return False
    state = mount_points.ask(point)
    if state in (errno.ENOTCONN, errno.ECONNABORTED):
        mount_points.detach(point)
        return True
    if state == 0:
        raise NoDaemon(f"{point}: answers, but its daemon cannot be found; `umount {point}` ends it")
    raise NoDaemon(
        f"{point}: does not answer, and its daemon cannot be found; as root, `umount -f {point}` ends it and who hangs"
        f" in it; `fusermount3 -uz {point}` only takes it away"
    )
