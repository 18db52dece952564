"""Temporary files that an upload left behind, which was not ended: by a crash, or by a broken line."""

from contextlib import suppress

from . import packets
from .remote import TMP, Remote
from .trash import names_in
from .wire import Refused, Wire

KEPT = b"up-"
"""Begins the part of a name, after the owner's, of what an upload may still go on with."""
KEPT_S = 7 * 86400
_FOREIGN_S = 7 * 86400


def sweep_up(remote: Remote, wire: Wire, now_s: float) -> float:
    """Remove our own, and those of others that are very old. How far the server's clock is ahead of `now_s`."""
    probe = remote.temp()
    handle = wire.handle(wire.open(probe, packets.WRITE | packets.CREATE | packets.EXCLUSIVE))
    server_s = wire.attributes(wire.fstat(handle)).mtime_s
    wire.done(wire.close_handle(handle))
    asked = []
    for name, found in names_in(wire, remote.path(TMP)):
        ours = name.startswith(remote.owner + b"-")
        resumable = name.startswith(remote.owner + b"-" + KEPT)
        keep_s = KEPT_S if resumable else 0 if ours else _FOREIGN_S
        if found.mtime_s <= server_s - keep_s:
            asked.append(wire.remove(remote.path((*TMP, name))))
    for number in asked:
        with suppress(Refused):
            wire.done(number)
    return server_s - now_s
