"""`onitufs completion`"""

import click

HELP = """Print what makes a shell complete commands, options, paths and the names of entries.

\b
Examples:
  onitufs completion bash > ~/.local/share/bash-completion/completions/onitufs
  onitufs completion zsh > "${fpath[1]}/_onitufs"
  onitufs completion fish > ~/.config/fish/completions/onitufs.fish
"""


@click.command("completion", help=HELP, short_help="Let a shell complete what you type.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    from click.shell_completion import get_completion_class

    from .program import program

    made_for = get_completion_class(shell)
    assert made_for is not None
    # bash's own check of its version would start a bash
    made = made_for(program, {}, "onitufs", "_ONITUFS_COMPLETE")
    click.echo(made.source_template % made.source_vars())
    return 0
