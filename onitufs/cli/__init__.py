"""The command `onitufs`: one module a command, none of them imported before it is named on the command line."""


def main() -> int:
    """Entry point. Returns the exit status (model.errors.Exit)."""
    from .program import run

    return run()
