"""The nursery tree: who runs under whom, how the daemon comes up, reads its setup again, and ends.

Up: lock and replay, recovery, entries, mount, control socket, ready. Down, in reverse: the mount first, then
what is being placed (for a bounded time), the entries, the catalog. A crash of one entry ends in its supervisor; a
crash of anything else ends the daemon, and loses nothing that was answered.
"""

import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import trio

from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.fuse import mounting
from onitufs.fuse.operations import Operations
from onitufs.fuse.scanners import Scanners
from onitufs.setup import Setup
from onitufs.volume import Volume
from onitufs.volume.space import Space
from onitufs.volume.strays import remove_strays

from . import aging
from .answers import Answers, Identity
from .choosing import Choosing
from .draining import Draining
from .entries import Entries
from .keeping import Keeping
from .options import MountOptions
from .pacing import Pacing
from .past import Past
from .service import Answer, Service
from .setups import Setups

SWITCH_S = (
    0.0005  # a program's call waits so long at most for an entry's thread that computes; Python's default is 5 ms
)
HANGING_S = 20.0  # what a call of an entry that cannot be interrupted gets when the daemon ends

log = logging.getLogger(__name__)


class Serve(Protocol):
    """Answers clients for as long as the daemon runs; see control/server.py."""

    def __call__(self, service: Service, *, state: str, task_status: trio.TaskStatus[None]) -> Awaitable[None]: ...


async def run(
    setup: Setup,
    mountpoint: Path,
    *,
    options: MountOptions,
    state: Path,
    log_path: Path,
    serve: Serve,
    ready: Callable[[], None],
    connection: int | None = None,
) -> None:
    """Serve the mount until it is unmounted or a signal says to end. Everything that was answered is on disk then.

    `connection`: of the mount, where root has made it for us (fuse/for_another.py).
    Raises AlreadyRunning, StateError, NoDaemon (the mount point), OSError.
    """
    _raise_file_limit()
    sys.setswitchinterval(SWITCH_S)
    content = ContentStore(state / "content")
    catalog = await trio.to_thread.run_sync(Catalog.open, state / "catalog", content)
    try:
        owner = (
            os.geteuid() if options.shown.uid is None else options.shown.uid,
            os.getegid() if options.shown.gid is None else options.shown.gid,
        )
        volume = Volume(catalog, content, Space(state), owner=owner)
        recovered = volume.recover()
        if recovered:
            log.info("recovered after a crash", extra={"files": recovered, "power_cut": catalog.lost_to_power_cut})
        daemon = _Daemon(setup, mountpoint, options, state, log_path, volume)
        await daemon.run(serve, ready, connection)
    finally:
        with trio.CancelScope(shield=True):  # bounded: one barrier and one fold
            await trio.to_thread.run_sync(catalog.close)


def _raise_file_limit() -> None:
    """Each open file costs a descriptor; the usual soft limit of 1024 is for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end_at_the_latest() -> None:
    """End even if a thread of an entry hangs in a call to a dead disk, which nothing can interrupt.

    Safe at any instant: everything that was answered is in the journal.
    """

    def give_up() -> None:
        log.error("an entry's call hangs: ended without it")
        logging.shutdown()
        os._exit(0)

    timer = threading.Timer(HANGING_S, give_up)
    timer.daemon = True
    timer.start()


class _Daemon:
    def __init__(
        self, setup: Setup, mountpoint: Path, options: MountOptions, state: Path, log_path: Path, volume: Volume
    ) -> None:
        self._setup = setup
        self._mountpoint = mountpoint
        self._options = options
        self._state = state
        self._log_path = log_path
        self._volume = volume
        self._catalog = volume.catalog
        self._entries = Entries(volume, state / "entries")
        self._scanners = Scanners()
        self._setups = Setups(setup, self._entries, volume, self._scanners)
        self._linger_s = options.linger_s
        self._lingering: trio.CancelScope | None = None  # the mount is gone, and what is left is being placed
        self._pacing = Pacing(lambda: self._mount.asked_s)

    async def run(self, serve: Serve, ready: Callable[[], None], connection: int | None) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._catalog.run)
            await nursery.start(self._volume.run)
            nursery.start_soon(remove_strays, self._catalog, self._volume.content, self._catalog.next_seq)
            await self._setups.begin()
            placing = self._placing = self._entries.placing(self._setup)
            self._volume.changed = placing.changed
            self._volume.subtree_changed = placing.subtree_changed
            self._volume.rename_matters = placing.rename_matters
            self._catalog.on_durable = placing.durable
            nursery.start_soon(aging.let_go_in_time, self._volume, placing.rest_s)
            self._volume.far = placing.fetcher
            await nursery.start(placing.fetcher.run)
            await nursery.start(placing.bringing.run)
            await nursery.start(placing.run)
            await nursery.start(self._entries.run)
            self._keeping = Keeping(placing)
            nursery.start_soon(self._keeping.run)
            operations = Operations(
                self._volume, xattr=self._options.xattr, shown=self._options.shown, scanners=self._scanners
            )
            for_kernel = self._options.for_kernel(str(self._setup.path))
            with mounting.mounted(operations, self._mountpoint, for_kernel, connection) as mount:
                self._mount = mount
                placing.pace = self._pacing.rest_s
                self._entries.tell_kernel, self._entries.room_to_tell = mount.changed_outside, mount.room_to_tell
                await nursery.start(partial(serve, self._service(), state=str(self._state)))
                await nursery.start(self._heed_signals)
                nursery.start_soon(self._setups.run)
                await mount.serve(ready)
            self._volume.end()
            await self._linger()
            _end_at_the_latest()
            nursery.cancel_scope.cancel()

    def _service(self) -> Answers:
        identity = Identity(
            name=self._setup.name,
            setup=str(self._setup.path),
            mount=str(self._mountpoint),
            state=str(self._state),
            log=str(self._log_path),
            since_ns=time.time_ns(),
        )
        return Answers(
            identity,
            self._placing,
            Past(self._volume, self._mount.changed_outside),
            self._keeping,
            stop=self._stop,
            entries=self._entries,
            setups=self._setups,
            draining=Draining(self._entries, self._setups),
            choosing=Choosing(self._placing, self._mount.changed_outside),
        )

    # -- signals -------------------------------------------------------------------------------------------------------

    async def _heed_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    self._setups.reload_soon()
                    continue
                log.info("ending", extra={"signal": signal.Signals(number).name})
                await self._unmount(force=True)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _stop(self, timeout_s: float | None, now: bool) -> Answer:
        """service.Service.stop: place everything, unmount, end."""
        done = self._placing.idle
        self._pacing.hurried = True
        if not now:
            if self._lingering is not None:
                self._lingering.deadline = float("inf")  # it is we who wait now
            with trio.move_on_after(float("inf") if timeout_s is None else timeout_s):
                while not self._placing.idle:
                    await self._placing.progress()
            done = self._placing.idle
        if not await self._unmount():
            self._pacing.hurried = False
            return {"done": done, "pending": self._volume.unsettled, "busy": True}
        return {"done": done and self._placing.idle, "pending": self._volume.unsettled, "busy": False}

    async def _unmount(self, *, force: bool = False) -> bool:
        """End, without lingering. False if the mount is in use and not `force`: nothing was done."""
        if self._lingering is not None:  # what is mounted there now is somebody else's
            self._lingering.cancel()
            return True
        self._linger_s = 0.0
        gone = await self._mount.unmount(force=force)
        if not gone:
            self._linger_s = self._options.linger_s
        return gone

    async def _linger(self) -> None:
        """After a foreign umount: what was saved last should still reach its entries if that is quick."""
        with trio.move_on_after(self._linger_s) as self._lingering:
            while not self._placing.idle:
                await self._placing.progress()
        if not self._placing.idle:
            log.info("ended with work left, which goes on at the next start", extra={"files": self._volume.unsettled})
