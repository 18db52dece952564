"""The line in /etc/fstab that mounts as a command line would. Source: fstab(5)."""

from collections.abc import Iterable

from onitufs.daemon.options import MountOptions

# what a mount that belongs to a user and needs the network is usually given
_USUAL = ("noauto", "user", "_netdev", "nofail", "x-systemd.automount")


def line(setup: str, point: str, options: MountOptions, given: Iterable[str]) -> str:
    """One line without its newline; paths absolute. `given`: the -o of the command line, which stay as they are."""
    named = [*_USUAL]
    named += [option for option in ",".join(given).split(",") if option and option.partition("=")[0] != "state"]
    named += ["allow_other"] if options.allow_other else []
    named += ["xattr"] if options.xattr else []
    named += [f"state={options.state}"] if options.state else []
    fields = (setup, point, "fuse.onitufs", ",".join(dict.fromkeys(named)))
    return "  ".join(map(_escaped, fields)) + "  0 0"


def _escaped(field: str) -> str:
    """Blanks, tabs, newlines and backslashes as octal escapes, and a # that would begin a comment."""
    text = "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in field)
    return f"\\043{text[1:]}" if text.startswith("#") else text
