"""The test's side door: lines of JSON on a loopback port. It steers the service, and is another program on the account.

A line `{"do": NAME, ...arguments}` is answered by `{"is": VALUE}` or `{"wrong": TEXT}`. Bytes travel as base64.
"""

import base64
import contextlib
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio
from dropbox import files, users

from . import names, wire
from .accounts import Account
from .content import Content
from .errors import LookupRefused, Refused, WriteRefused
from .faults import Fault
from .server import Server
from .service import Service
from .tokens import SCOPES, BadAuthorizeUrl
from .tree import Node

MARKS = ("downloadable", "restricted", "symlink", "share_id", "read_only", "traverse_only", "no_access")
Entries = list[dict[str, Any]]


class Wrong(Exception):
    """The test asked for something that cannot be."""


class Commands:
    """Each public method is a command. `account`, an id, is the first account when it is not given."""

    def __init__(self, server: Server, directory: Path) -> None:
        self._server = server
        self._directory = directory
        self._resets = 0

    @property
    def _service(self) -> Service:
        return self._server.service

    def _account(self, account: str | None) -> Account:
        return self._service.first if account is None else self._service.accounts[account]

    # -- the service --------------------------------------------------------------------------------------------------

    def reset(self) -> str:
        """A new service with one empty account, whose id is returned; calls under way end with the old one."""
        self._resets += 1
        old = self._service
        self._server.service = Service(self._directory / f"service{self._resets}")
        old.settings.offline = True
        old.faults.clear()
        old.bell.ring()
        self._server.bugs.clear()
        return self._service.first.id

    def settings(self, **changes: Any) -> None:
        self._service.settings.change(changes)
        self._service.bell.ring()

    def bugs(self) -> Sequence[str]:
        """What went wrong in the emulator itself."""
        return self._server.bugs

    def advance(self, seconds: float) -> None:
        self._service.clock.advance(seconds)

    def now(self) -> float:
        return self._service.clock.now()

    def journal(self, since: int = 0, route: str | None = None) -> Entries:
        return self._service.journal.since(since, route)

    async def wait_for_call(self, route: str, since: int = 0, count: int = 1, over: bool = True) -> Entries:
        """Wait until there were `count` calls of `route` after entry `since`. `over`: and are over, else: at work."""
        while True:
            found = self._service.journal.since(since, route)
            found = [entry for entry in found if entry["ended"] is not None or (entry["read"] and not over)]
            if len(found) >= count:
                return found
            await self._service.journal.bell.wait()

    # -- faults -------------------------------------------------------------------------------------------------------

    def fault(self, unchecked: bool = False, **what: Any) -> None:
        """See faults.Fault. An `error` has to be one that the route can answer, unless `unchecked`."""
        fault = Fault(**what)
        if fault.error is not None and not unchecked:
            route = wire.ROUTES.get(fault.route)
            if route is None or wire.is_void(route.error_type):
                raise Wrong(f"{fault.route} has no errors of its own")
            wire.decode(route.error_type, json.dumps(fault.error))
        if fault.error is not None and "other" in wire.summary_of(fault.error).split("/"):
            raise Wrong("the service never sends the tag other; for a tag unknown to the SDK, make one up")
        self._service.faults.add(fault)

    def clear_faults(self) -> None:
        self._service.faults.clear()

    def faults_left(self) -> int:
        return self._service.faults.left()

    def release(self, gate: str) -> None:
        self._service.faults.release(gate)

    async def wait_at_gate(self, gate: str, count: int = 1) -> None:
        """Wait until so many calls stand at the gate."""
        await self._service.faults.wait_for_waiting(gate, count)

    def lose_jobs(self) -> None:
        self._service.jobs.lose_all()

    def reset_cursors(self, account: str | None = None) -> None:
        self._account(account).feed.void_all()
        self._service.bell.ring()

    # -- accounts and tokens ------------------------------------------------------------------------------------------

    def hold_namespace(self, held: bool, account: str | None = None) -> None:
        """Let every write meet another one that goes on and on, or no more."""
        self._account(account).namespace_held = held

    def add_account(self) -> str:
        return self._service.add_account().id

    def account(self, account: str | None = None) -> dict[str, Any]:
        it = self._account(account)
        return {"id": it.id, "uid": it.uid, "email": it.email, "namespace": it.namespace, "used": it.tree.used}

    def change_account(
        self, account: str | None = None, allocated: int | None = None, suspended: bool | None = None,
        team: dict[str, Any] | None = None, namespace: str | None = None,
    ) -> None:  # fmt: skip
        """`team`: fields of TeamSpaceAllocation."""
        it = self._account(account)
        if allocated is not None:
            it.writer.allocated = allocated
        if suspended is not None:
            it.suspended = suspended
        if namespace is not None:
            it.namespace = namespace
        if team is not None:
            limit = users.team_common.MemberSpaceLimitType(team.pop("user_within_team_space_limit_type"))
            it.team = users.TeamSpaceAllocation(**team, user_within_team_space_limit_type=limit)

    def authorize(self, url: str, account: str | None = None) -> str:
        """The user opens the page and says yes: the code that it shows."""
        return self._service.tokens.authorize(url, self._account(account).id)

    def refresh_token(
        self, account: str | None = None, app_key: str = "emulatedapp0001", scopes: Sequence[str] | None = None
    ) -> str:
        """A refresh token as a login would have got it."""
        allowed = frozenset(SCOPES if scopes is None else scopes)
        return self._service.tokens.give(self._account(account).id, app_key, allowed)

    def expire_tokens(self) -> None:
        """All access tokens given so far have expired."""
        self._service.tokens.expire_all()

    def revoke_tokens(self, account: str | None = None) -> None:
        """The user took back what was allowed."""
        self._service.tokens.revoke_account(self._account(account).id)

    def sessions(self, account: str | None = None) -> dict[str, int]:
        """Upload sessions that wait, and how many bytes they hold."""
        return self._account(account).sessions.open()

    # -- another program on the account -------------------------------------------------------------------------------

    def write(self, path: str, data: str, account: str | None = None) -> dict[str, Any]:
        """Put a file there, over whatever file is there: `replaced` is the content_hash of that, or None."""
        it = self._account(account)
        content = self._service.contents.add(base64.b64decode(data))
        there = it.writer.spot(path).there
        replaced = there.content.hash if there is not None and there.content is not None else None
        return self._done(it.writer.put_file(path, content, mode=files.WriteMode.overwrite)) | {"replaced": replaced}

    def mkdir(self, path: str, account: str | None = None) -> dict[str, Any]:
        return self._done(self._account(account).writer.make_folder(path))

    def move(self, from_path: str, to_path: str, account: str | None = None) -> dict[str, Any]:
        return self._done(self._account(account).writer.relocate(from_path, to_path, copy=False))

    def copy(self, from_path: str, to_path: str, account: str | None = None) -> dict[str, Any]:
        return self._done(self._account(account).writer.relocate(from_path, to_path, copy=True))

    def delete(self, path: str, account: str | None = None) -> Sequence[str]:
        """The content_hash of each file that went with it."""
        it = self._account(account)
        gone = [node.content.hash for node in it.tree.find(path).walk() if node.content is not None]
        it.writer.delete(path)
        self._service.bell.ring()
        return gone

    def read(self, path: str, account: str | None = None) -> str:
        node = self._account(account).tree.find(path)
        if node.content is None:
            raise Wrong(f"{path} is a folder")
        return base64.b64encode(node.content.read()).decode()

    def stat(self, path: str, account: str | None = None) -> dict[str, Any]:
        return told(self._account(account).tree.find(path))

    def list(self, path: str = "", account: str | None = None) -> Entries:
        """All below a folder, parents first."""
        folder = self._account(account).tree.find(path)
        return [told(node) for node in folder.walk() if node is not folder]

    def past(self, account: str | None = None) -> Sequence[str]:
        """Contents that were replaced or deleted and can be brought back, oldest first."""
        tree = self._account(account).tree
        now = {node.id: node.content.hash for node in tree.by_id.values() if node.content is not None}
        kept: dict[tuple[str, str], Content] = {}
        for metadata, content in tree.revisions.values():
            if now.get(metadata.id) != content.hash:
                kept.setdefault((metadata.id, content.hash), content)
        return [base64.b64encode(content.read()).decode() for content in kept.values()]

    def mark(self, path: str, account: str | None = None, **flags: Any) -> None:
        """Set one of MARKS of what is there."""
        it = self._account(account)
        node = it.tree.find(path)
        for name, value in flags.items():
            if name not in MARKS:
                raise Wrong(f"no flag {name!r}")
            setattr(node, name, value)
        for each in node.walk():
            it.tree.tell(each, self._service.clock.now())
        self._service.bell.ring()

    def recase(self, path: str, name: str, account: str | None = None) -> None:
        """Rename in letter case only, as other programs can; no feed tells of that."""
        node = self._account(account).tree.find(path)
        if names.fold(node.name) != names.fold(name):
            raise Wrong(f"{name!r} is another name than {node.name!r}")
        node.name = names.normal(name)

    def _done(self, node: Node) -> dict[str, Any]:
        self._service.bell.ring()
        return told(node)


def told(node: Node) -> dict[str, Any]:
    """`path` has every name as it is written. A file has size, rev, content_hash and client_modified too."""
    parts = []
    each = node
    while each.parent is not None:
        parts.append(each.name)
        each = each.parent
    path = "/" + "/".join(reversed(parts))
    if node.content is None:
        return {"path": path, "id": node.id, "is": "folder"}
    return {
        "path": path, "id": node.id, "is": "file", "size": node.content.size, "rev": node.rev,
        "content_hash": node.content.hash, "client_modified": node.client_modified.isoformat(),
    }  # fmt: skip


async def serve(commands: Commands, listener: trio.SocketListener) -> None:
    """Answer tests until cancelled."""

    async def talk(stream: trio.SocketStream) -> None:
        held = bytearray()
        while piece := await stream.receive_some(65536):
            held += piece
            while (end := held.find(b"\n")) >= 0:
                line, held = bytes(held[:end]), held[end + 1 :]
                await stream.send_all(json.dumps(await _obey(commands, line)).encode() + b"\n")

    async def talk_quietly(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await talk(stream)

    await trio.serve_listeners(talk_quietly, [listener])


async def _obey(commands: Commands, line: bytes) -> dict[str, Any]:
    order = json.loads(line)
    name = order.pop("do")
    method = getattr(commands, name, None)
    if name.startswith("_") or method is None:
        return {"wrong": f"no command {name!r}"}
    try:
        outcome = method(**order)
        return {"is": await outcome if inspect.isawaitable(outcome) else outcome}
    except (Refused, LookupRefused, WriteRefused) as refused:
        return {"wrong": wire.summary_of(json.loads(wire.encode(wire.union_of(refused.error), refused.error)))}
    except (Wrong, BadAuthorizeUrl, KeyError, TypeError, ValueError, wire.BadRequest) as wrong:
        return {"wrong": f"{type(wrong).__name__}: {wrong}"}
