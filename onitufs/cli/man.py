"""`onitufs man`"""

from collections.abc import Iterator

import click

import onitufs

HELP = """Print the manual page onitufs(1), which tells what --help tells of every command.

\b
Examples:
  onitufs man | man -l -
  onitufs man > /usr/local/share/man/man1/onitufs.1
"""


@click.command("man", help=HELP, short_help="Print the manual page.")
@click.pass_context
def command(context: click.Context) -> int:
    click.echo("\n".join(page(context.find_root())))
    return 0


def page(root: click.Context) -> Iterator[str]:
    """Lines of roff. Source: man(7)."""
    program = root.command
    yield f'.TH ONITUFS 1 "" "OnituFS {onitufs.__version__}" "User Commands"'
    yield ".SH NAME"
    yield "onitufs \\- one directory whose files are kept where your rules say"
    yield ".SH SYNOPSIS"
    yield ".B onitufs"
    yield "\\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]..."
    yield ".SH DESCRIPTION"
    yield from _prose(program.help or "")
    yield ".SH COMMANDS"
    yield from _commands(root)
    yield ".SH FILES"
    yield ".TP"
    yield ".I ~/.local/share/onitufs/NAME"
    yield "State of the setup called NAME: its files, their names, the log."
    yield ".TP"
    yield ".I /run/onitufs, /run/user/UID/onitufs"
    yield "Records and control sockets of running daemons."
    yield ".SH SEE ALSO"
    yield ".BR fusermount3 (1),"
    yield ".BR fstab (5),"
    yield ".BR mount (8)"


def _commands(context: click.Context) -> Iterator[str]:
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join([inner.command_path, *command.collect_usage_pieces(inner)])
        yield f".SS {_text(usage)}"
        yield from _prose(command.help or "")
        for parameter in command.get_params(inner):
            record = parameter.get_help_record(inner)
            if record is not None and record[1]:
                yield ".TP"
                yield f"\\fB{_text(record[0])}\\fR"
                yield _text(record[1])
        if isinstance(command, click.Group):
            yield from _commands(inner)


def _prose(help_text: str) -> Iterator[str]:
    """Paragraphs; those that click is told not to wrap (\\\\b) keep their lines."""
    for paragraph in help_text.strip().split("\n\n"):
        lines = paragraph.splitlines()
        yield ".PP"
        if lines and lines[0] == "\b":
            yield ".nf"
            yield from (_text(line) for line in lines[1:])
            yield ".fi"
        else:
            yield from (_text(line) for line in lines)


def _text(line: str) -> str:
    """Nothing in it is a request or an escape of roff's."""
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line
