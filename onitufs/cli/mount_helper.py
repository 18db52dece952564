"""Being /sbin/mount.fuse.onitufs, which mount(8) runs for the type fuse.onitufs. Source: mount(8), external helpers."""

import os
from collections.abc import Sequence

PREFIX = "mount."
NAME = "mount.fuse.onitufs"


def is_it(program: str) -> bool:
    """Whether we were called by that name (argv[0])."""
    return os.path.basename(program).startswith(PREFIX)


def translated(arguments: Sequence[str]) -> list[str] | None:
    """SETUP MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE] as our own command line; None: only pretend."""
    places, options = [], []
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word in ("-o", "-N", "-t"):
            value = left.pop(0) if left else ""
            options += ["-o", value] if word == "-o" else []
        elif word.startswith("-") and word != "-":
            if "f" in word:
                return None
        else:
            places.append(word)
    return ["mount", *options, "--", *places]
