"""The digest of what stands on an entry, however its driver lets us have it."""

from collections.abc import Awaitable, Callable
from typing import Any

from onitufs.model.digests import algorithm_of, hasher_of, tagged
from onitufs.model.errors import Conflict

from .calling import Handlers
from .handlers import Found, RemotePath

Ask = Callable[..., Awaitable[Any]]

_CHUNK = 8 * 1024 * 1024


async def digest_there(
    handlers: Handlers, ask: Ask, path: RemotePath, found: Found, algorithm: str, *, by_reading: bool = False
) -> bytes:
    """The digest of the file `found` at `path`: what came with it, what the driver's `digest` says, or b"".

    `ask`: handlers.call or handlers.look. `by_reading`: if neither is of that algorithm, all of the file is read.
    Raises Gone; Conflict if it changed meanwhile; and what the handlers raise.
    """
    if _is(found.state.digest, algorithm):
        return found.state.digest
    digest = found.state.digest
    if not digest and handlers.has("digest"):
        digest = await ask("digest", path)
    if _is(digest, algorithm) or not by_reading or not handlers.has("get_chunk"):
        return digest
    hasher, offset = hasher_of(algorithm), 0
    while offset < found.size:
        block = await ask("get_chunk", path, found.state.rev, offset, _CHUNK)
        if not block:
            raise Conflict("it is shorter than it was")
        await handlers.runner.run(hasher.update, block)
        offset += len(block)
    return tagged(algorithm, hasher.digest())


def _is(digest: bytes, algorithm: str) -> bool:
    return bool(digest) and algorithm_of(digest) == algorithm
