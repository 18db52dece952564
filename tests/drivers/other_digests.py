"""The memory driver as of services that tell digests otherwise, or not at all."""

from dataclasses import replace
from typing import Any

from onitufs.drivers import memory
from onitufs.drivers.handlers import Found, RemotePath
from onitufs.drivers.memory.driver import Memory
from onitufs.drivers.registry import ManifestedDriver
from onitufs.model.digests import DROPBOX, digest_of


class ReadsOnly(Memory):
    """Its service hashes nothing: what is to be compared has to be read."""

    digest: Any = None


class TellsDropbox(Memory):
    """Its service tells its own digest with each file."""

    digest: Any = None

    async def stat(self, path: RemotePath) -> Found | None:
        found = await super().stat(path)
        if found is None or not found.size:
            return found
        data = self._service.nodes[path].data
        told = digest_of(lambda offset, length: data[offset : offset + length], DROPBOX)
        return replace(found, state=replace(found.state, digest=told))


READS_ONLY = ManifestedDriver(memory.DRIVER.manifest, memory.DRIVER.options, f"{__name__}:ReadsOnly")
TELLS_DROPBOX = ManifestedDriver(
    replace(memory.DRIVER.manifest, digest=DROPBOX), memory.DRIVER.options, f"{__name__}:TellsDropbox"
)
