"""What each route does. A handler takes a Call and returns a value of the route's result type, or a Download."""

from . import downloads, folders, listing, uploads, users
from .call import Call, Download, Handler

__all__ = ["HANDLERS", "Call", "Download"]

HANDLERS: dict[str, Handler] = {
    **users.HANDLERS,
    **listing.HANDLERS,
    **downloads.HANDLERS,
    **uploads.HANDLERS,
    **folders.HANDLERS,
}
"""By name as in the URL after /2/."""
