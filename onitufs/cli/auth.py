"""`onitufs auth`: the group of commands about who we are to a service."""

from .lazy import LazyGroup

HELP = """Let a service know who you are.

\b
Examples:
  onitufs auth login box
"""

command = LazyGroup(
    name="auth", modules={"login": "auth_login"}, help=HELP, short_help="Log an entry in to its service."
)
