"""OAuth 2 with PKCE and without redirect: codes, refresh tokens, access tokens."""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dropbox import auth

from .clock import Clock
from .errors import Unauthorized
from .settings import Settings

SCOPES = (
    "account_info.read", "files.metadata.read", "files.metadata.write", "files.content.read", "files.content.write",
)  # fmt: skip
PAGES = ("www.dropbox.com", "www.dropbox.invalid")
"""Where the page for users is: there, and where tests that set the SDK's hosts say it is."""
APP_KEY = re.compile(r"[a-z0-9]{15}")


class BadGrant(Exception):
    """400 with an OAuth error: `error` and what it is about."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description = error, description


class BadAuthorizeUrl(Exception):
    """What a browser would show instead of asking the user."""


@dataclass(frozen=True)
class Grant:
    """What a user allowed an app."""

    account_id: str
    app_key: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class Code:
    grant: Grant
    challenge: str
    offline: bool
    until: float


@dataclass(frozen=True)
class Access:
    grant: Grant
    refresh_token: str | None
    until: float


class Tokens:
    """All codes and tokens; `uids` are told beside the account."""

    def __init__(self, clock: Clock, settings: Settings, uids: Mapping[str, str]) -> None:
        self._clock = clock
        self._settings = settings
        self._uids = uids
        self._codes: dict[str, Code] = {}
        self._refresh: dict[str, Grant] = {}
        self._access: dict[str, Access] = {}
        self._expired: set[str] = set()

    # -- the user -----------------------------------------------------------------------------------------------------

    def authorize(self, url: str, account_id: str) -> str:
        """The user opened `url`, signed in and said yes: the code that the page shows. Raises BadAuthorizeUrl."""
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.netloc not in PAGES or parts.path != "/oauth2/authorize":
            raise BadAuthorizeUrl(f"no page of the service: {url}")
        asked = {key: values[0] for key, values in parse_qs(parts.query, strict_parsing=True).items()}
        wrong = set(asked) - {
            "response_type", "client_id", "token_access_type", "scope", "code_challenge", "code_challenge_method",
            "locale", "include_granted_scopes",
        }  # fmt: skip
        if wrong:
            raise BadAuthorizeUrl(f"not for an app without redirect: {', '.join(sorted(wrong))}")
        if asked.get("response_type") != "code" or not APP_KEY.fullmatch(asked.get("client_id", "")):
            raise BadAuthorizeUrl("response_type has to be code, and client_id the key of an app")
        if asked.get("code_challenge_method") != "S256" or not re.fullmatch(
            r"[A-Za-z0-9_-]{43}", asked.get("code_challenge", "")
        ):
            raise BadAuthorizeUrl("this app has to use PKCE with S256")
        if asked.get("token_access_type", "online") not in {"online", "offline"}:
            raise BadAuthorizeUrl("token_access_type is online or offline")
        scopes = frozenset(asked["scope"].split(" ")) if "scope" in asked else frozenset(SCOPES)
        if not scopes <= set(SCOPES):
            raise BadAuthorizeUrl(f"no such scope: {', '.join(sorted(scopes - set(SCOPES)))}")
        code = secrets.token_urlsafe(32)
        self._codes[code] = Code(
            Grant(account_id, asked["client_id"], scopes), asked["code_challenge"],
            asked.get("token_access_type") == "offline", self._clock.now() + self._settings.code_life_s,
        )  # fmt: skip
        return code

    def give(self, account_id: str, app_key: str, scopes: frozenset[str]) -> str:
        """A refresh token, as if all of that had happened."""
        token = secrets.token_urlsafe(48)
        self._refresh[token] = Grant(account_id, app_key, scopes)
        return token

    # -- the endpoint -------------------------------------------------------------------------------------------------

    def exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        """/oauth2/token. Raises BadGrant."""
        if "client_secret" in form:
            raise BadGrant("invalid_client", "this app is public and has no secret")
        if not APP_KEY.fullmatch(form.get("client_id", "")):
            raise BadGrant("invalid_client", "no such app")
        match form.get("grant_type"):
            case "authorization_code":
                return self._by_code(form)
            case "refresh_token":
                return self._by_refresh_token(form)
        raise BadGrant("unsupported_grant_type", "grant_type is authorization_code or refresh_token")

    def _by_code(self, form: Mapping[str, str]) -> dict[str, Any]:
        code = self._codes.get(form.get("code", ""))
        if code is None or code.until < self._clock.now() or code.grant.app_key != form["client_id"]:
            raise BadGrant("invalid_grant", "code doesn't exist or has expired")
        verifier = form.get("code_verifier", "")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier) or digest != code.challenge:
            raise BadGrant("invalid_grant", "invalid code verifier")
        del self._codes[form["code"]]
        refresh_token = None
        if code.offline:
            refresh_token = secrets.token_urlsafe(48)
            self._refresh[refresh_token] = code.grant
        answer = {
            **self._new_access(code.grant, refresh_token), "scope": " ".join(sorted(code.grant.scopes)),
            "uid": self._uids[code.grant.account_id], "account_id": code.grant.account_id,
        }  # fmt: skip
        return answer if refresh_token is None else {**answer, "refresh_token": refresh_token}

    def _by_refresh_token(self, form: Mapping[str, str]) -> dict[str, Any]:
        token = form.get("refresh_token", "")
        grant = self._refresh.get(token)
        if grant is None or grant.app_key != form["client_id"]:
            raise BadGrant("invalid_grant", "refresh token is invalid or revoked")
        scopes = frozenset(form["scope"].split(" ")) if "scope" in form else grant.scopes
        if not scopes <= grant.scopes:
            raise BadGrant("invalid_scope", "more than was granted")
        return self._new_access(Grant(grant.account_id, grant.app_key, scopes), token)

    def _new_access(self, grant: Grant, refresh_token: str | None) -> dict[str, Any]:
        token = "sl.u." + secrets.token_urlsafe(48)
        life = self._settings.access_token_life_s
        self._access[token] = Access(grant, refresh_token, self._clock.now() + life)
        return {"access_token": token, "token_type": "bearer", "expires_in": life}

    # -- use ----------------------------------------------------------------------------------------------------------

    def check(self, token: str, scope: str | None) -> Grant:
        """Who calls. Raises Unauthorized."""
        access = self._access.get(token)
        if access is None:
            raise Unauthorized(auth.AuthError.invalid_access_token)
        if token in self._expired or access.until <= self._clock.now():
            raise Unauthorized(auth.AuthError.expired_access_token)
        if scope is not None and scope not in access.grant.scopes:
            raise Unauthorized(auth.AuthError.missing_scope(auth.TokenScopeError(required_scope=scope)))
        return access.grant

    def expire_all(self) -> None:
        """Every access token has expired, whatever was said about its life."""
        self._expired.update(self._access)

    def revoke_by(self, token: str) -> None:
        """The app gives back what it was allowed."""
        refresh_token = self._access[token].refresh_token
        if refresh_token is None:
            del self._access[token]
            return
        self._refresh.pop(refresh_token, None)
        self._access = {key: access for key, access in self._access.items() if access.refresh_token != refresh_token}

    def revoke_account(self, account_id: str) -> None:
        """The user took back what was allowed to every app."""
        self._refresh = {key: grant for key, grant in self._refresh.items() if grant.account_id != account_id}
        self._access = {key: access for key, access in self._access.items() if access.grant.account_id != account_id}
