"""What a person is told of an exception: lines for stderr and an exit status."""

import click

from onitufs.model.errors import Exit, OnituError

from .show import safe


def told(error: BaseException) -> tuple[list[str], int]:
    """One line, or one for each problem of a setup; never a traceback."""
    if isinstance(error, click.UsageError):
        asked = error.ctx.command_path if error.ctx else "onitufs"
        return [f"{safe(error.format_message())} (see `{asked} --help`)"], Exit.USAGE
    if isinstance(error, click.ClickException):
        return [safe(error.format_message())], Exit.USAGE
    if isinstance(error, KeyboardInterrupt):
        return ["interrupted"], 130
    ours = _leaves(error)
    for leaf in ours:
        if isinstance(leaf, OnituError):
            problems = getattr(leaf, "problems", None) or [" ".join(str(leaf).splitlines())]
            return [safe(problem) for problem in problems], leaf.exit_status
    leaf = ours[0]
    if isinstance(leaf, PermissionError | FileNotFoundError | NotADirectoryError) and leaf.filename is not None:
        return [safe(f"{_text(leaf.filename)}: {leaf.strerror}")], Exit.NO_SUCH
    what = f"{type(leaf).__name__}: {leaf}".splitlines()[0]
    return [f"a bug: {safe(what)} (see `onitufs log`; ONITUFS_DEBUG=1 shows where)"], Exit.BUG


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group, or the error itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]


def _text(name: object) -> str:
    return name.decode(errors="surrogateescape") if isinstance(name, bytes) else str(name)
