"""Listings, their cursors, and what is under one path."""

from typing import Any

import trio
from dropbox import files

from .. import names
from ..errors import BadRequest, HungUp, LookupRefused, Refused
from ..feed import Cursor, Gone, Page, Reset, refused_continue
from ..tree import Node
from .call import Call, Handler


def _folder(call: Call) -> Node:
    if call.arg.shared_link is not None or call.arg.include_property_groups is not None:
        raise BadRequest("Error in call to API function: the emulator knows neither shared links nor properties")
    try:
        node = call.account.tree.find(call.path(call.arg.path))
    except LookupRefused as refused:
        raise Refused(files.ListFolderError.path(refused.error)) from None
    if node.is_file:
        raise Refused(files.ListFolderError.path(files.LookupError.not_folder))
    return node


def _result(page: Page) -> files.ListFolderResult:
    return files.ListFolderResult(entries=page.entries, cursor=page.cursor, has_more=page.has_more)


async def list_folder(call: Call) -> Any:
    feed = call.account.feed
    return _result(feed.page(feed.begin(_folder(call), call.arg)))


async def get_latest_cursor(call: Call) -> Any:
    feed = call.account.feed
    return files.ListFolderGetLatestCursorResult(cursor=feed.at_the_end(feed.begin(_folder(call), call.arg)))


async def list_folder_continue(call: Call) -> Any:
    feed = call.account.feed
    try:
        return _result(feed.page(feed.look_up(call.arg.cursor)))
    except (Gone, Reset) as wrong:
        raise refused_continue(wrong) from None


async def longpoll(call: Call) -> Any:
    """Waits for changes, or until the time is over by the clock of the service."""
    service = call.service
    until = service.clock.now() + call.arg.timeout + service.settings.longpoll_jitter_s
    while True:
        if service.settings.offline:
            raise HungUp
        try:
            account_feed, cursor = _cursor_of_anybody(call)
        except Gone:
            changes = True
        except Reset:
            raise Refused(files.ListFolderLongpollError.reset) from None
        else:
            changes = account_feed.changed(cursor)
        if not changes and service.settings.spurious_changes > 0:
            service.settings.spurious_changes -= 1
            changes = True
        left_s = until - service.clock.now()
        if changes or left_s <= 0:
            backoff = service.settings.longpoll_backoff_s
            result = files.ListFolderLongpollResult(changes=changes)
            if backoff:
                result.backoff = backoff
            return result
        with trio.move_on_after(left_s):
            await service.bell.wait()


def _cursor_of_anybody(call: Call) -> tuple[Any, Cursor]:
    """The cursor is all that tells whose it is."""
    for account in call.service.accounts.values():
        if account.feed.knows(call.arg.cursor):
            return account.feed, account.feed.look_up(call.arg.cursor)
    raise BadRequest('Error in call to API function "files/list_folder/longpoll": invalid "cursor"')


async def get_metadata(call: Call) -> Any:
    if call.arg.path == "" or call.arg.include_property_groups is not None:
        raise BadRequest("Error in call to API function: request body: path: The root folder is unsupported.")
    tree = call.account.tree
    path = call.path(call.arg.path)
    if path.startswith("rev:"):
        found = tree.revisions.get(path[4:])
        if found is None:
            raise Refused(files.GetMetadataError.path(files.LookupError.not_found))
        return found[0]
    try:
        node = tree.find(path)
    except LookupRefused as refused:
        buried = _buried(call, path) if call.arg.include_deleted and refused.error.is_not_found() else None
        if buried is not None:
            return buried
        raise Refused(files.GetMetadataError.path(refused.error)) from None
    if node.parent is None:
        raise BadRequest("Error in call to API function: request body: path: The root folder is unsupported.")
    return node.metadata()


def _buried(call: Call, path: str) -> files.DeletedMetadata | None:
    if not path.startswith("/"):
        return None
    return call.account.tree.buried.get(tuple(names.fold(name) for name in names.split(path)))


HANDLERS: dict[str, Handler] = {
    "files/list_folder": list_folder,
    "files/list_folder/continue": list_folder_continue,
    "files/list_folder/get_latest_cursor": get_latest_cursor,
    "files/list_folder/longpoll": longpoll,
    "files/get_metadata": get_metadata,
}
