"""What the service says no with."""

from typing import Any

from dropbox import auth, common


class HungUp(Exception):
    """The connection is to be closed as it is."""


class Refused(Exception):
    """409 with a value of the route's error type."""

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error


class BadRequest(Exception):
    """400 with a line of text: the caller has a bug."""


class Unauthorized(Exception):
    """401."""

    def __init__(self, error: auth.AuthError) -> None:
        super().__init__(str(error))
        self.error = error


class WrongRoot(Exception):
    """422: the header Dropbox-API-Path-Root."""

    def __init__(self, error: common.PathRootError) -> None:
        super().__init__(str(error))
        self.error = error


class Throttled(Exception):
    """429."""

    def __init__(self, retry_after_s: int, reason: Any) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s
        self.reason = reason


class LookupRefused(Exception):
    """There is nothing to be had under a path; each route wraps it in an error of its own."""

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error


class WriteRefused(Exception):
    """Nothing can be put under a path; each route wraps it in an error of its own."""

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error
