"""What the commands that ask a daemon share: options, types of values, and whom to ask."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from onitufs.control import client, runtime
from onitufs.control.protocol import path_fields
from onitufs.model.errors import NoSuchPath

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON: one object (of a list: one a line).")(
        function
    )


def mount_option(function: Function) -> Function:
    return click.option(
        "--mount", "-m", metavar="PATH", help="A path in the mount that is meant; not needed while only one is there."
    )(function)


class Duration(click.ParamType[float]):
    """Seconds as a plain number, or as a setup says a duration."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from onitufs.model.units import duration

        try:
            return float(value) if str(value).isdecimal() else duration(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class Size(click.ParamType[int]):
    """Bytes, as a setup says a size."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from onitufs.model.units import size

        try:
            return size(int(value) if str(value).isdecimal() else value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


def whole_mount(path: str | None) -> client.Conversation:
    """Talk to the daemon of the mount that `path` is in, or to the only one. Raises NoDaemon."""
    return client.Conversation(runtime.find(path)[0])


def one_path(path: str) -> tuple[client.Conversation, dict[str, Any]]:
    """Talk about one path: the conversation, and the path as arguments of a question. Raises NoDaemon, NoSuchPath."""
    daemon, inner = runtime.find(path)
    if inner is None:
        raise NoSuchPath(f"{path}: not in a mount")
    return client.Conversation(daemon), path_fields(inner)
