"""`onitufs auth login`"""

import os
from pathlib import Path

import click

from onitufs.control import client, runtime
from onitufs.model.errors import Exit, NeedsPerson, NoDaemon, NoSuchPath, OnituError

from . import show
from .asking import mount_option

HELP = """Log an entry in to its service, or say that a server is to be trusted.

It asks what there is to ask; what comes of it is kept where the setup says, never in the setup. It works with and
without a daemon; a running one goes on with the entry at once. Without --setup it is the running daemon's.

Where nobody can be asked, call it twice: once to see the question, and once with --answer.

\b
Examples:
  onitufs auth login box
  onitufs auth login box --setup setup.json
  onitufs auth login box --answer CODE
"""


@click.command("login", help=HELP, short_help="Log an entry in to its service.")
@click.argument("entry")
@click.option("--setup", metavar="FILE", help="The setup that has the entry; for before the first mount.")
@click.option("--state", metavar="DIR", help="As for `onitufs mount`, where that was given and no daemon runs.")
@click.option("--answer", metavar="TEXT", help="The answer to what is asked.")
@mount_option
def command(entry: str, setup: str | None, state: str | None, answer: str | None, mount: str | None) -> int:
    if setup is not None and mount is not None:
        raise click.UsageError("--setup and --mount name two things; give one of them")
    daemon, path = _found(setup, mount)
    done = _login(entry, path, daemon.state if daemon is not None else state, answer)
    click.echo(f"{show.safe(entry)}: {show.safe(done)}")
    if daemon is not None:
        _go_on(daemon, entry)
    return Exit.FINE


def _found(setup: str | None, mount: str | None) -> tuple[runtime.Daemon | None, Path]:
    """The daemon that is to go on with the entry, if one runs, and the setup."""
    if setup is None:
        try:
            daemon = runtime.find(mount)[0]
        except NoDaemon as error:
            raise NoDaemon(f"{error}; or name the setup with --setup FILE") from error
        return daemon, Path(daemon.setup)
    path = os.path.abspath(setup)
    found = [daemon for daemon in runtime.running() if daemon.setup == path]
    return (found[0] if found else None), Path(path)


def _login(entry: str, path: Path, state: str | None, answer: str | None) -> str:
    """Ask what is to be asked; what was done."""
    from onitufs.drivers.registry import Registry
    from onitufs.model.ids import EntryName
    from onitufs.setup import load

    os.environ["HOME"] = runtime.home()  # as the daemon sees it
    setup = load(path)
    wanted = next((one for one in setup.entries if one.name == entry), None)
    if wanted is None:
        raise NoSuchPath(f"no entry {entry!r} in {path}: there are {', '.join(one.name for one in setup.entries)}")
    driver = Registry().get(wanted.driver)
    kind = driver.load_login()
    if kind is None:
        return f"nobody has to log in to an entry of driver {driver.name}"
    options = driver.read_options(wanted.options, setup.base, f"{path.name}: entries.{entry}.options")
    directory = Path(state if state is not None else runtime.state_directory(setup.name))
    login = kind(options, entry=EntryName(entry), work_dir=directory / "entries" / entry.replace("/", "%2F"))
    question = login.start()
    if question is None:
        return "nothing to do: the service knows it"
    if answer is None:
        click.echo("\n".join(show.safe(line) for line in question.text.splitlines()))
        answer = _asked(entry, question.prompt, secret=question.secret)
    return str(login.finish(answer.strip()))


def _asked(entry: str, prompt: str, *, secret: bool) -> str:
    try:
        return str(click.prompt(show.safe(prompt), hide_input=secret, err=True))
    except click.Abort:
        click.echo(err=True)
        raise NeedsPerson(f"entry {entry} still waits; run: onitufs auth login {entry} --answer TEXT") from None


def _go_on(daemon: runtime.Daemon, entry: str) -> None:
    """Let the daemon try at once. That it cannot be asked undoes no login."""
    try:
        with client.Conversation(daemon) as conversation:
            health = show.text(conversation.ask("resume", entry=entry), "health")
    except OnituError as error:
        click.echo(f"{show.safe(entry)}: it does not go on by itself: {show.safe(str(error))}")
    else:
        click.echo(f"{show.safe(entry)}: {health or 'resumed'}")
