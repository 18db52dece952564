"""A click group that imports a command's module when the command is named, so that no command pays for another."""

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """`modules`: command name -> module, in this package, whose `command` it is."""

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self._modules.get(cmd_name)
        if module is None:
            return None
        command = importlib.import_module(f".{module}", __package__).command
        assert isinstance(command, click.Command)
        if ctx.resilient_parsing:  # it is a shell that asks
            from .completing import teach

            teach(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # once more, with the names among which a close one may be
            raise click.NoSuchCommand(error.command_name, possibilities=self._modules, ctx=ctx) from None
