"""From a request to an answer: host, headers, token, argument, route, refusals."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from dropbox import auth, common
from stone.backends.python_rsrc import stone_validators

from . import wire
from .accounts import Account
from .errors import BadRequest, Refused, Throttled, Unauthorized, WrongRoot
from .journal import Entry
from .routes import HANDLERS, Call, Download
from .service import Service
from .tokens import BadGrant
from .wire import Answer, Request


@dataclass(frozen=True)
class Caller:
    account: Account | None
    token: str


async def answer(service: Service, request: Request, entry: Entry) -> Answer:
    """Never raises for what a caller did; whatever else is raised is a bug of the emulator."""
    try:
        return await _answer(service, request, entry)
    except BadRequest as wrong:
        return wire.text(400, str(wrong))
    except BadGrant as wrong:
        told = {"error": wrong.error, "error_description": wrong.description}
        return Answer(400, wire.JSON, json.dumps(told).encode(), summary=wrong.error)
    except Unauthorized as wrong:
        return wire.refusal(401, stone_validators.Union(auth.AuthError), wrong.error)
    except WrongRoot as wrong:
        return wire.refusal(422, stone_validators.Union(common.PathRootError), wrong.error)
    except Throttled as wrong:
        error = auth.RateLimitError(reason=wrong.reason, retry_after=wrong.retry_after_s)
        told = json.loads(wire.encode(stone_validators.Struct(auth.RateLimitError), error))
        body = json.dumps({"error_summary": wire.summary_of(told), "error": told}).encode()
        return Answer(429, wire.JSON, body, {"Retry-After": str(wrong.retry_after_s)}, wire.summary_of(told))


async def _answer(service: Service, request: Request, entry: Entry) -> Answer:
    if request.method != "POST":
        raise BadRequest(f"Error in call to API function: {request.method} is not POST")
    if "?" in request.target:
        raise BadRequest("Error in call to API function: nothing belongs into the query of the URL")
    if request.target == "/oauth2/token":
        return _token(service, request, entry)
    route = wire.ROUTES.get(request.route)
    handler = HANDLERS.get(request.route)
    if not request.target.startswith("/2/") or route is None or handler is None:
        raise BadRequest(f"Error in call to API function: unknown API function {request.target!r}")
    if route.deprecated:
        raise BadRequest(f"Error in call to API function {request.route!r}: it is retired")
    if route.attrs["host"] != request.host:
        raise BadRequest(
            f"Error in call to API function {request.route!r}: "
            f"it is served by the host {route.attrs['host']}, not {request.host}"
        )
    if len(request.headers.get("dropbox-api-arg", "")) > service.settings.argument_limit:
        return wire.text(431, "Request Header Fields Too Large")
    written = _argument(request, route)
    caller = _caller(service, request, route)
    if caller.account is not None:
        entry.account_id = caller.account.id
        _throttle(service, caller.account)
    arg = wire.decode(route.arg_type, written)
    entry.arg = json.loads(written)
    call = Call(service, caller.account, caller.token, route, arg, request.body, request.headers)
    try:
        result = await handler(call)
    except Refused as refused:
        return wire.refusal(409, route.error_type, refused.error)
    if isinstance(result, Download):
        told = wire.encode(route.result_type, result.metadata)
        headers = {"Dropbox-API-Result": _ascii(told), "Accept-Ranges": "bytes", **result.headers}
        return Answer(result.status, "application/octet-stream", result.body, headers)
    return Answer(200, wire.JSON, wire.encode(route.result_type, result).encode())


def _ascii(written: str) -> str:
    """JSON for a header: DEL and all above are escaped."""
    return "".join(c if c < "\x7f" else json.dumps(c)[1:-1] if c > "\x7f" else "\\u007f" for c in written)


def _argument(request: Request, route: Any) -> str:
    """The argument's text, from where the style of the route puts it."""
    content_type = request.headers.get("content-type", "").replace(" ", "").lower()
    header = request.headers.get("dropbox-api-arg")
    style = route.attrs["style"]
    if style == "rpc":
        if content_type not in {"application/json", "application/json;charset=utf-8"}:
            raise BadRequest(f'Error in call to API function: bad HTTP "Content-Type" header: {content_type!r}')
        if header is not None:
            raise BadRequest('Error in call to API function: unexpected HTTP header "Dropbox-API-Arg"')
        try:
            return request.body.decode()
        except UnicodeDecodeError:
            raise BadRequest("Error in call to API function: request body is not UTF-8") from None
    if header is None:
        raise BadRequest('Error in call to API function: must provide HTTP header "Dropbox-API-Arg"')
    if any(not " " <= letter < "\x7f" for letter in header):
        raise BadRequest('Error in call to API function: HTTP header "Dropbox-API-Arg" is not ASCII')
    if style == "upload" and content_type != "application/octet-stream":
        raise BadRequest(f'Error in call to API function: bad HTTP "Content-Type" header: {content_type!r}')
    if style == "download" and request.body:
        raise BadRequest("Error in call to API function: a download has no body")
    return header


def _caller(service: Service, request: Request, route: Any) -> Caller:
    """Who calls, and whether they may."""
    written = request.headers.get("authorization")
    if route.attrs["auth"] == "noauth":
        if written is not None:
            raise BadRequest('Error in call to API function: unexpected HTTP header "Authorization"')
        return Caller(None, "")
    if written is None or not written.startswith("Bearer ") or " " in written[7:]:
        raise BadRequest('Error in call to API function: missing or invalid HTTP header "Authorization"')
    for header in ("dropbox-api-select-user", "dropbox-api-select-admin"):
        if header in request.headers:
            raise BadRequest(f"Error in call to API function: {header} is for teams")
    token = written[7:]
    grant = service.tokens.check(token, SCOPES.get(request.route))
    account = service.accounts[grant.account_id]
    if account.suspended:
        raise Unauthorized(auth.AuthError.user_suspended)
    _check_root(account, request.headers.get("dropbox-api-path-root"))
    return Caller(account, token)


def _check_root(account: Account, written: str | None) -> None:
    if written is None:
        return
    root = wire.decode(stone_validators.Union(common.PathRoot), written)
    if root.is_root() and root.get_root() != account.namespace:
        raise WrongRoot(common.PathRootError.invalid_root(account.root_info()))
    if root.is_namespace_id() and root.get_namespace_id() != account.namespace:
        raise WrongRoot(common.PathRootError.no_permission)


def _throttle(service: Service, account: Account) -> None:
    """Refused calls count too."""
    limit, window_s = service.settings.requests_per_window, service.settings.window_s
    if limit == 0:
        return
    now = service.clock.now()
    account.calls = [at for at in account.calls if at > now - window_s]
    account.calls.append(now)
    if len(account.calls) > limit:
        wait_s = max(1, round(account.calls[-limit] + window_s - now + 0.5))
        raise Throttled(wait_s, auth.RateLimitReason.too_many_requests)


def _token(service: Service, request: Request, entry: Entry) -> Answer:
    if request.host != "api":
        raise BadRequest("there is no such page on this host")
    if "authorization" in request.headers:
        raise BadGrant("invalid_request", "a public app has no client authentication")
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise BadGrant("invalid_request", "this takes a form")
    pairs = parse_qsl(request.body.decode("ascii", "replace"), keep_blank_values=True)
    form = dict(pairs)
    known = {"grant_type", "code", "client_id", "code_verifier", "refresh_token", "scope", "client_secret", "locale"}
    if len(form) != len(pairs) or set(form) - known:
        raise BadGrant("invalid_request", f"fields that are not known or come twice: {sorted(set(form) - known)}")
    entry.arg = {"grant_type": form.get("grant_type")}
    return Answer(200, wire.JSON, json.dumps(service.tokens.exchange(form)).encode())


SCOPES: dict[str, str] = {
    "users/get_current_account": "account_info.read",
    "users/get_space_usage": "account_info.read",
    "files/get_metadata": "files.metadata.read",
    "files/list_folder": "files.metadata.read",
    "files/list_folder/continue": "files.metadata.read",
    "files/list_folder/get_latest_cursor": "files.metadata.read",
    "files/download": "files.content.read",
    "files/upload": "files.content.write",
    "files/upload_session/start": "files.content.write",
    "files/upload_session/start_batch": "files.content.write",
    "files/upload_session/append_v2": "files.content.write",
    "files/upload_session/append_batch": "files.content.write",
    "files/upload_session/finish": "files.content.write",
    "files/upload_session/finish_batch_v2": "files.content.write",
    "files/create_folder_v2": "files.content.write",
    "files/create_folder_batch": "files.content.write",
    "files/create_folder_batch/check": "files.content.write",
    "files/move_v2": "files.content.write",
    "files/copy_v2": "files.content.write",
    "files/move_batch_v2": "files.content.write",
    "files/move_batch/check_v2": "files.content.write",
    "files/copy_batch_v2": "files.content.write",
    "files/copy_batch/check_v2": "files.content.write",
    "files/delete_v2": "files.content.write",
    "files/delete_batch": "files.content.write",
    "files/delete_batch/check": "files.content.write",
}
"""What a token has to allow, by route."""
