"""`onitufs entry`: the group of commands about one entry."""

from .lazy import LazyGroup

HELP = """List, pause, resume and empty entries.

\b
Examples:
  onitufs entry list
  onitufs entry pause nas
"""

command = LazyGroup(
    name="entry",
    modules={"list": "entry_list", "pause": "entry_pause", "resume": "entry_resume", "drain": "entry_drain"},
    help=HELP,
    short_help="List, pause, resume and empty entries.",
)
