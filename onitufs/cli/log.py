"""`onitufs log`"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any, TextIO

import click

from onitufs.control import client, runtime
from onitufs.model.errors import NoDaemon, NoSuchPath

from . import show
from .asking import mount_option

HELP = """Show the daemon's log; also of a daemon that has gone.

\b
Examples:
  onitufs log
  onitufs log -f
  onitufs log -n 1000 --json | jq 'select(.level == "error")'
"""

FILE = "log/onitufs.log"
OLDEST = 4
GLANCE_S = 0.3


@click.command("log", help=HELP, short_help="Show the daemon's log.")
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is added, until Ctrl-C.")
@click.option("-n", "--lines", "count", type=click.IntRange(min=0), default=50, show_default=True, help="Last lines.")
@click.option("--json", "as_json", is_flag=True, help="Print the lines as they are: JSON, one object a line.")
@click.option("--state", metavar="DIR", help="Of the daemon that has, or had, its state there.")
@mount_option
def command(follow: bool, count: int, as_json: bool, state: str | None, mount: str | None) -> int:
    path = os.path.join(state, FILE) if state is not None else _find(mount)
    try:
        for line in _lines(path, count, follow=follow):
            click.echo(line if as_json else pretty(line))
    except FileNotFoundError:
        raise NoSuchPath(f"{path}: no log there: no daemon ever used this state directory") from None
    except KeyboardInterrupt:
        pass  # the way to end -f
    return 0


def _find(mount: str | None) -> str:
    """The log of the running daemon; where none runs, of the only state directory there is."""
    try:
        daemon, _ = runtime.find(mount)
    except NoDaemon:
        if mount is not None or runtime.running():
            raise
        left = list(_left_behind())
        if len(left) == 1:
            return left[0]
        if not left:
            raise
        states = ", ".join(os.path.dirname(os.path.dirname(log)) for log in left)
        raise NoSuchPath(f"no daemon runs, and several left logs: choose one with --state ({states})") from None
    with client.Conversation(daemon) as conversation:
        return str(conversation.ask("log")["log"])


def _left_behind() -> Iterator[str]:
    above = os.path.dirname(runtime.state_directory("any"))
    try:
        names = sorted(os.listdir(above))
    except OSError:
        return
    for name in names:
        if os.path.isfile(log := os.path.join(above, name, FILE)):
            yield log


def _lines(path: str, count: int, *, follow: bool) -> Iterator[str]:
    """The last lines of the log, of its older files too if it has too few; then, to `follow`, those that are added."""
    file = _open(path)
    try:
        *lines, part = file.read().split("\n")
        if part and not follow:
            lines.append(part)
        for number in range(1, OLDEST + 1):
            if len(lines) >= count or not os.path.exists(older := f"{path}.{number}"):
                break
            with _open(older) as before:
                lines = before.read().split("\n")[:-1] + lines
        yield from lines[-count:] if count else []
        rotated = False
        while follow:
            if read := file.readline():
                part += read
                if part.endswith("\n"):
                    yield part[:-1]
                    part = ""
            elif rotated:  # and nothing came between the last look and the rotation
                file.close()
                file = _open(path)
                rotated = False
            elif not (rotated := _is_another(path, file.fileno())):
                time.sleep(GLANCE_S)
    finally:
        file.close()


def _open(path: str) -> TextIO:
    return open(path, encoding="utf-8", errors="replace", newline="\n")


def _is_another(path: str, fd: int) -> bool:
    try:
        return os.stat(path).st_ino != os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


def pretty(line: str) -> str:
    """One line of the log for a person; what is no JSON is shown as it is, but safe."""
    try:
        fields: dict[str, Any] = json.loads(line)
        time_, level, event = (str(fields.pop(name, "")) for name in ("time", "level", "event"))
    except (ValueError, AttributeError, TypeError):
        return show.safe(line)
    fields.pop("logger", None)
    trace = fields.pop("exception", None)
    facts = "".join(f"  {show.safe(str(name))}={show.safe(str(value))}" for name, value in fields.items())
    first = f"{show.safe(time_)}  {show.safe(level):8}{show.safe(event)}{facts}"
    if trace is None:
        return first
    return "\n".join([first, *(f"    {show.safe(part)}" for part in str(trace).splitlines())])
