"""Tells a service manager how we are doing. Source: sd_notify(3): one datagram to the socket in NOTIFY_SOCKET."""

import os
import socket


def notify(state: str) -> bool:
    """Send e.g. "READY=1". Returns whether there was a service manager to take it; never raises OSError."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError:
        return False
    return True
