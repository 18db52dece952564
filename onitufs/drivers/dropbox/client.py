"""The one way to Dropbox's SDK: how it connects, refreshes its token, and what its errors are to us.

The SDK sleeps and tries again by itself, for ever if it is let; here it does not, as the Plug does that for the whole
account. Everything it raises becomes one of our own errors.
"""

import logging
import os
import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import dropbox
import requests
from dropbox import exceptions
from stone.backends.python_rsrc.stone_validators import ValidationError
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_match_hostname import CertificateError

from onitufs.model.errors import AuthNeeded, DriverError, NeedsPerson, ServiceError

from .refusals import NotUnderstood, TooMuchAtOnce, refusal, tags

CA_VARIABLE = "ONITUFS_DROPBOX_CA"
"""Names a file of certificates to trust instead of the usual ones. For tests."""
TIMEOUT_S = 60.0
"""Without a byte for so long, a connection is broken."""
SCOPES = [
    "account_info.read", "files.metadata.read", "files.metadata.write", "files.content.read", "files.content.write",
]  # fmt: skip
PAUSE_S = 5.0
"""Where Dropbox asks for a pause and does not say how long."""
USER_AGENT = "OnituFS"

T = TypeVar("T")

logging.getLogger("dropbox").setLevel(logging.WARNING)  # it tells of every request


def new_session(connections: int = 16) -> requests.Session:
    """How we connect, always: certificates verified, nothing of it taken from the environment but for tests."""
    session: requests.Session = dropbox.create_session(
        max_connections=connections, ca_certs=os.environ.get(CA_VARIABLE) or None
    )
    session.trust_env = False
    return session


class SingleFlight(dropbox.Dropbox):  # type: ignore[misc]  # the SDK has no types
    """However many threads find the token expired, it is refreshed once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flight = threading.RLock()
        self._seen = threading.local()

    def check_and_refresh_access_token(self) -> None:
        with self._flight:
            self._seen.token = self._oauth2_access_token
            super().check_and_refresh_access_token()

    def request_json_string(self, *args: Any, **kwargs: Any) -> Any:
        self._seen.token = self._oauth2_access_token
        return super().request_json_string(*args, **kwargs)

    def refresh_access_token(self, *args: Any, **kwargs: Any) -> None:
        with self._flight:
            if self._seen.token != self._oauth2_access_token:
                return  # another thread was quicker
            super().refresh_access_token(*args, **kwargs)


_COMMITS: dict[str, threading.Lock] = {}
_COMMITS_LOCK = threading.Lock()


class Client:
    """Calls of one entry. `call` and `commit` run in threads, many at a time."""

    def __init__(self, app_key: str, token: str, login: str, session: requests.Session) -> None:
        """`login`: the command that helps when the token is not good any more."""
        self._login = login
        self._session = session
        self._commits = threading.Lock()
        self.sdk = SingleFlight(
            oauth2_refresh_token=token,
            app_key=app_key,
            session=session,
            timeout=TIMEOUT_S,
            user_agent=USER_AGENT,
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,
        )

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """A method of `sdk`. Raises DriverError, and those of refusals.py."""
        try:
            return function(*args, **kwargs)
        except Exception as exc:  # all of it is the SDK's, see meaning
            raise self.meaning(exc) from exc

    def writes_to(self, account: str) -> None:
        """Whose the token is. Dropbox takes one write of an account at a time, and refuses others that meet it."""
        with _COMMITS_LOCK:
            self._commits = _COMMITS.setdefault(account, threading.Lock())

    def commit(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """As `call`, for whatever changes what stands in the account: in turn, whichever entry it is for."""
        with self._commits:
            return self.call(function, *args, **kwargs)

    @staticmethod
    def refusal(entry: Any) -> DriverError | None:
        """What a batch says of one of its entries; None if that is done."""
        return refusal(entry.get_failure()) if entry.is_failure() else None

    def meaning(self, exc: Exception) -> DriverError:
        """Our error for one that came out of the SDK or its HTTP library. Raises it again if it is neither's."""
        if isinstance(exc, exceptions.ApiError):
            return refusal(exc.error)
        if isinstance(exc, exceptions.AuthError):
            return self._about_auth(exc)
        if isinstance(exc, exceptions.RateLimitError):
            return ServiceError("Dropbox asks for a pause", exc.backoff if exc.backoff is not None else PAUSE_S)
        if isinstance(exc, exceptions.PathRootError):
            return NeedsPerson("the account's root folder is another one now; correct the setup's `root`")
        if isinstance(exc, exceptions.BadInputError | ValidationError):
            why = str(getattr(exc, "message", exc)).splitlines()[0][:200]
            return NotUnderstood(f"Dropbox does not understand us: {why}; report it")
        if isinstance(exc, exceptions.InternalServerError):
            return ServiceError(f"Dropbox has trouble (status {exc.status_code})")
        if isinstance(exc, exceptions.HttpError) and exc.status_code in (413, 431):
            return TooMuchAtOnce(f"Dropbox takes no request as large as this (status {exc.status_code})")
        if isinstance(exc, exceptions.HttpError):
            return ServiceError(f"Dropbox answered with status {exc.status_code}")
        if isinstance(exc, requests.exceptions.SSLError) and _doubts_certificate(exc):
            return NeedsPerson("Dropbox's certificate is not to be trusted; see who is between, and the clock")
        if isinstance(exc, requests.RequestException | OSError):
            return ServiceError(f"no connection to Dropbox: {_brief(exc)}")
        if isinstance(exc, AssertionError | ValueError | KeyError):  # what the SDK makes of answers that are none
            return ServiceError(f"Dropbox's answer makes no sense: {_brief(exc)}")
        raise exc

    def _about_auth(self, exc: Any) -> DriverError:
        found = tags(exc.error)
        if found[:1] == ["missing_scope"]:
            scope = exc.error.get_missing_scope().required_scope
            return AuthNeeded(f"the app may not {scope}; allow it on dropbox.com, then run: {self._login}")
        if found[:1] == ["user_suspended"]:
            return AuthNeeded(f"Dropbox has suspended the account; see dropbox.com, then run: {self._login}")
        return AuthNeeded(f"Dropbox does not accept the token any more; run: {self._login}")

    def close(self) -> None:
        self._session.close()


def _doubts_certificate(exc: BaseException) -> bool:
    """Whether a library's error says that it is not Dropbox who answers. A line that breaks while TLS is agreed on is
    one of TLS, too."""
    inner = [exc.__cause__, exc.__context__, getattr(exc, "reason", None), *exc.args]
    return isinstance(exc, ssl.SSLCertVerificationError | CertificateError) or any(
        _doubts_certificate(each) for each in inner if isinstance(each, OSError | HTTPError | CertificateError)
    )


def _brief(exc: Exception) -> str:
    """The innermost reason of a library's error, without addresses and arguments."""
    while isinstance(inner := (exc.__cause__ or exc.__context__), Exception):
        exc = inner
    return (str(exc).splitlines() or [""])[0][:120] or type(exc).__name__
