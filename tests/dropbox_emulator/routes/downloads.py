"""Bytes of files, whole or in part."""

import re
from typing import Any

from dropbox import files

from ..content import Content
from ..errors import BadRequest, LookupRefused, Refused
from .call import Call, Download, Handler

RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def _found(call: Call) -> tuple[files.FileMetadata, Content]:
    error = files.DownloadError
    tree = call.account.tree
    path = call.path(call.arg.path)
    if call.arg.rev is not None:
        path = f"rev:{call.arg.rev}"
    if path.startswith("rev:"):
        kept = tree.revisions.get(path[4:])
        if kept is None:
            raise Refused(error.path(files.LookupError.not_found))
        metadata, content = kept
        node = tree.by_id.get(metadata.id)
        restricted = node is not None and node.restricted
    else:
        try:
            node = tree.find(path)
        except LookupRefused as refused:
            raise Refused(error.path(refused.error)) from None
        if node.content is None:
            raise Refused(error.path(files.LookupError.not_file))
        told = node.metadata()
        assert isinstance(told, files.FileMetadata)
        metadata, content, restricted = told, node.content, node.restricted
    if restricted:
        raise Refused(error.path(files.LookupError.restricted_content))
    if not metadata.is_downloadable:
        raise Refused(error.unsupported_file)
    return metadata, content


async def download(call: Call) -> Any:
    metadata, content = _found(call)
    written = call.headers.get("range")
    if written is None:
        return Download(metadata, content.read())
    match = RANGE.fullmatch(written.replace(" ", ""))
    if match is None or match.group(1) == match.group(2) == "":
        raise BadRequest(f"Error in call to API function: invalid header Range: {written!r}")
    if match.group(1) == "":
        start, end = max(content.size - int(match.group(2)), 0), content.size
    else:
        start = int(match.group(1))
        end = min(int(match.group(2)) + 1, content.size) if match.group(2) else content.size
        if match.group(2) and int(match.group(2)) < start:
            raise BadRequest(f"Error in call to API function: invalid header Range: {written!r}")
    if start >= content.size:
        return Download(metadata, b"", 416, {"Content-Range": f"bytes */{content.size}"})
    part = {"Content-Range": f"bytes {start}-{end - 1}/{content.size}"}
    return Download(metadata, content.read(start, end - start), 206, part)


HANDLERS: dict[str, Handler] = {"files/download": download}
