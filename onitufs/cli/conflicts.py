"""`onitufs conflicts`: the group of commands about files that are kept beside each other."""

from .lazy import LazyGroup

HELP = """List and end conflicts: two versions of one file, changed in two places, of which both were kept.

\b
Examples:
  onitufs conflicts list
  onitufs conflicts resolve "report (conflicted copy from nas 2026-03-01).pdf" --keep this
"""

command = LazyGroup(
    name="conflicts",
    modules={"list": "conflicts_list", "resolve": "conflicts_resolve"},
    help=HELP,
    short_help="List and end conflicts.",
)
