"""What the catalog needs of others: somebody who keeps the bytes, and somebody who runs what blocks."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from onitufs.model.ids import ContentId, Seq


class Content(Protocol):
    """The content store, as barriers and starts see it. The thread is always one and the same at a time."""

    def carry_through(self, seq: Seq) -> list[tuple[ContentId, bytes]] | None:
        """In the barrier's thread. The bytes of all content that records up to `seq` sealed and that is not on disk, if
        that is so little that the journal may carry it; else None: then `sync_through`. Raises no OSError."""
        ...

    def sync_through(self, seq: Seq) -> None:
        """In the barrier's thread. All content that records up to `seq` sealed is on disk in its own files, with their
        names, when this returns, and what the journal carried. A store that has just been opened does not know what is:
        then all of it. Raises OSError."""
        ...

    def vouched(self, *, carried: bool) -> None:
        """In the barrier's thread. The journal on disk says so of what the last call of the two above was about."""
        ...

    def mend(self) -> bool:
        """On the loop, before a sync: write again some of what an earlier sync failed on. True: call again."""
        ...

    def restore(self, content: ContentId, data: bytes) -> None:
        """At a start, before `sync_through`. A power cut left these bytes in the journal. Raises OSError."""
        ...

    def may_collect(self, seq: Seq) -> bool:
        """On the loop. Whether `collect_through` has something to do."""
        ...

    def collect_through(self, seq: Seq) -> None:
        """In a thread, one call at a time. Unlink content that records up to `seq`, which are on disk, let go of."""
        ...


class InThread(Protocol):
    """Runs a blocking function in a thread and waits for it, also when cancelled."""

    def __call__(self, function: Callable[..., Any], /, *args: Any) -> Awaitable[Any]: ...
