"""Logging in: OAuth 2 with PKCE and no redirect, so that it works where there is no browser."""

import json
import os
import time
from pathlib import Path

import requests
from dropbox import oauth

from onitufs.drivers.login import Question
from onitufs.model.errors import AuthNeeded, NeedsPerson, ServiceError
from onitufs.model.ids import EntryName

from .client import SCOPES, TIMEOUT_S, Client, new_session
from .options import DropboxOptions

LASTS_S = 600.0
"""How long Dropbox takes a code. Source: its OAuth guide."""


class DropboxLogin:
    """See onitufs.drivers.login. What proves that the answer belongs to the question is kept in between."""

    def __init__(self, options: DropboxOptions, *, entry: EntryName, work_dir: Path) -> None:
        self._options = options
        self._entry = entry
        self._kept = work_dir / "login.json"

    def new_session(self) -> requests.Session:
        return new_session()

    def start(self) -> Question | None:
        if self._options.token.kind == "env":
            self._store("")
        flow = self._flow()
        verifier = self._verifier()
        if verifier is None:
            self._keep(flow.code_verifier)
        else:
            self._use(flow, verifier)
        return Question(
            f"Open this page in any browser, on any machine, and allow the access:\n\n  {flow.start()}\n",
            "The code that Dropbox shows then",
            secret=False,
        )

    def finish(self, answer: str) -> str:
        verifier = self._verifier()
        again = f"run: onitufs auth login {self._entry}"
        if verifier is None:
            raise AuthNeeded(f"no code was asked for in the last ten minutes; {again}")
        flow = self._flow()
        self._use(flow, verifier)
        try:
            got = flow.finish(answer)
        except requests.HTTPError as exc:
            if exc.response is not None and exc.response.status_code >= 500:
                raise ServiceError(f"Dropbox has trouble (status {exc.response.status_code})") from exc
            raise AuthNeeded(f"Dropbox does not accept this code; {again}") from exc
        except requests.RequestException as exc:
            raise ServiceError(f"no connection to Dropbox: {exc}") from exc
        except (KeyError, ValueError) as exc:
            raise ServiceError("Dropbox's answer makes no sense") from exc
        if not got.refresh_token:
            raise AuthNeeded(f"Dropbox gave no token that lasts; {again}")
        self._store(got.refresh_token)
        self._kept.unlink(missing_ok=True)
        return f"logged in as {self._name(got.refresh_token)}"

    def _store(self, token: str) -> None:
        try:
            self._options.token.store(token)
        except ValueError as exc:
            raise NeedsPerson(str(exc)) from exc

    def _name(self, token: str) -> str:
        """Whose account it is; known to be right, as the first call was answered."""
        client = Client(self._options.app_key, token, f"onitufs auth login {self._entry}", self.new_session())
        try:
            account = client.call(client.sdk.users_get_current_account)
        finally:
            client.close()
        return f"{account.name.display_name} ({account.email})"

    def _flow(self) -> oauth.DropboxOAuth2FlowNoRedirect:
        flow = oauth.DropboxOAuth2FlowNoRedirect(
            self._options.app_key,
            use_pkce=True,
            token_access_type="offline",  # noqa: S106  no password: it says that a refresh token is wanted
            scope=SCOPES,
            timeout=TIMEOUT_S,
        )
        flow.requests_session = self.new_session()
        return flow

    def _use(self, flow: oauth.DropboxOAuth2FlowNoRedirect, verifier: str) -> None:
        flow.code_verifier = verifier
        flow.code_challenge = oauth._generate_pkce_code_challenge(verifier)  # it has no other way in

    def _keep(self, verifier: str) -> None:
        os.makedirs(self._kept.parent, 0o700, exist_ok=True)
        fd = os.open(self._kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump({"verifier": verifier, "began": time.time()}, file)

    def _verifier(self) -> str | None:
        """That of a login that was begun and may still be finished."""
        try:
            kept = json.loads(self._kept.read_text(encoding="utf-8"))
            fresh = 0 <= time.time() - float(kept["began"]) < LASTS_S
            return str(kept["verifier"]) if fresh else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
