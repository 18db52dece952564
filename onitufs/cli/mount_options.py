"""The `-o` of mount(8) and /etc/fstab: what it says of our mount, and what it says to others and we let pass."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import click

from onitufs.daemon.options import MountOptions

from .asking import Duration

# said to mount(8), systemd or libfuse, or about what is so anyway
_FOR_OTHERS = {
    "defaults", "rw", "noauto", "auto", "user", "users", "nouser", "owner", "group", "nofail", "_netdev", "async",
    "relatime", "atime", "noatime", "nodiratime", "strictatime", "lazytime", "default_permissions", "nonempty",
    "auto_unmount", "_rnetdev", "silent", "loud",
}  # fmt: skip
_FOR_OTHERS_WITH_VALUE = {"fsname", "subtype", "comment", "context", "mode"}

_SWITCHES: dict[str, dict[str, Any]] = {
    "allow_other": {"allow_other": True},
    "xattr": {"xattr": True},
    "user_xattr": {"xattr": True},
    "ro": {"read_only": True},
    "exec": {"exec": True},
    "noexec": {"exec": False},
    "suid": {"suid": True},
    "nosuid": {"suid": False},
    "dev": {"dev": True},
    "nodev": {"dev": False},
}


_IDS = ("uid", "gid")
_MASKS = {"umask": ("files", "directories"), "fmask": ("files",), "dmask": ("directories",)}


def parse(options: MountOptions, given: Iterable[str]) -> MountOptions:
    """Apply options separated by commas; later ones win. Raises click.BadParameter naming the option."""
    for option in ",".join(given).split(","):
        name, equals, value = option.strip().partition("=")
        if name in _SWITCHES and not equals:
            options = replace(options, **_SWITCHES[name])
        elif name in _IDS and equals:
            if not value.isdecimal():
                raise click.BadParameter(f"{name}= takes a number, not {value!r}", param_hint="-o")
            options = replace(options, shown=replace(options.shown, **{name: int(value)}))
        elif name in _MASKS and equals:
            options = replace(options, shown=replace(options.shown, **dict.fromkeys(_MASKS[name], _mask(name, value))))
        elif name == "linger" and equals:
            options = replace(options, linger_s=Duration().convert(value, None, None))
        elif name == "state" and value:
            options = replace(options, state=value)
        elif name == "setuid" and value:
            options = replace(options, setuid=value)
        elif not (
            not option.strip()
            or name in _FOR_OTHERS
            or name.startswith(("x-", "X-"))
            or (equals and name in _FOR_OTHERS_WITH_VALUE)
        ):
            raise click.BadParameter(f"unknown option {option.strip()!r}", param_hint="-o")
    return options


def _mask(name: str, value: str) -> int:
    try:
        mask = int(value, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise click.BadParameter(
            f"{name}= takes permission bits as octal digits, as 027, not {value!r}", param_hint="-o"
        )
    return mask
