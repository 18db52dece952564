"""What a shell may offer for an argument: paths, entries of the mount that is meant, drivers. Never an error."""

from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from onitufs.control import client, runtime
from onitufs.model.errors import OnituError

PATIENCE_S = 2.0


class _Text(click.types.StringParamType):
    """Text that a shell can complete."""


class Files(_Text):
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


class Directories(_Text):
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="dir")]


class Entries(_Text):
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _beginning(entry_names(ctx.params.get("mount")), incomplete)


class Drivers(_Text):
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from importlib.metadata import entry_points

        return _beginning((found.name for found in entry_points(group="onitufs.drivers")), incomplete)


BY_NAME: dict[str, _Text] = {
    "path": Files(), "to": Files(), "setup": Files(), "mountpoint": Directories(), "mount": Directories(),
    "state": Directories(), "entry": Entries(), "name": Drivers(),
}  # fmt: skip


def teach(command: click.Command) -> None:
    """Let a shell complete what is plain text so far, by what the parameter is called."""
    for parameter in command.params:
        if type(parameter.type) is click.types.StringParamType and parameter.name in BY_NAME:
            parameter.type = BY_NAME[parameter.name]


def entry_names(mount: Any) -> list[str]:
    """The entries of the mount that is meant, or of all of ours."""
    names: dict[str, None] = {}
    try:
        daemons = [runtime.find(mount)[0]] if mount else runtime.running()
        for daemon in daemons:
            with client.Conversation(daemon) as conversation:
                for entry in conversation.ask("status", patience_s=PATIENCE_S).get("entries", []):
                    names[str(entry["name"])] = None
    except OnituError:
        pass  # nobody to ask: nothing to offer
    return list(names)


def _beginning(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]
