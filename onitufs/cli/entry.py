"""`onitufs entry`: the group of commands about one entry."""

from .lazy import LazyGroup

HELP = """List, pause and resume entries.

\b
Examples:
  onitufs entry list
  onitufs entry pause nas
"""

command = LazyGroup(
    name="entry",
    modules={"list": "entry_list", "pause": "entry_pause", "resume": "entry_resume"},
    help=HELP,
    short_help="List, pause and resume entries.",
)
