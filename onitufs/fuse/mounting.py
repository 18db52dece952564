"""The one mount of this process: made, served, taken away."""

import contextlib
import ctypes
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyfuse3
import trio

from onitufs.model.errors import NoDaemon
from onitufs.model.ids import ROOT_INODE, InodeNumber

from . import mount_points
from .invalidation import Invalidator
from .operations import Operations
from .turns import IDLE_TASKS, Turns, frugal_turns

# Handlers that wait (for a dead entry, at worst) each keep a task of pyfuse3's; with its default of 99 of them the
# next stat of anybody would wait, too.
MAX_TASKS = 5000
# Readahead and write-back together; the default of 12 is used up by a few readers that wait, and then every close()
# waits with them. Only some may raise it (the mounting user, where sysfs is writable): elsewhere it stays.
MAX_BACKGROUND = 1024
LAST_CALLS_S = 5.0  # what calls under way get when a mount that is in use must end

log = logging.getLogger(__name__)


class _Option(str):
    """A mount option as bytes of the file system's encoding: pyfuse3 encodes options as ASCII, paths are not."""

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return os.fsencode(str(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to mount. `source` is what df(1) and mount(8) show in the first column: the setup's path.

    `suid` and `dev` work for root only; `allow_other` for users only where /etc/fuse.conf permits it.
    """

    source: str
    allow_other: bool = False
    read_only: bool = False
    exec: bool = True
    suid: bool = False
    dev: bool = False

    def to_libfuse(self) -> set[str]:
        escaped = self.source.replace("\\", "\\\\").replace(",", "\\,")
        options = {"default_permissions", "subtype=onitufs", _Option(f"fsname={escaped}")}
        options.add("exec" if self.exec else "noexec")
        if os.geteuid() == 0:  # a user's mount is nosuid,nodev whatever one asks
            options.update(("suid" if self.suid else "nosuid", "dev" if self.dev else "nodev"))
        if self.allow_other:
            options.add("allow_other")
        if self.read_only:
            options.add("ro")
        return options


@contextlib.contextmanager
def mounted(
    operations: Operations, point: str | os.PathLike[str], options: Options, connection: int | None = None
) -> Iterator["Mount"]:
    """Mount, first clearing what a dead daemon left there; nothing is mounted any more at the end. Blocking but short.

    With a `connection` (see for_another.connect) it is mounted already. Raises NoDaemon that says what is in the way
    and what to do about it.
    """
    path = os.fspath(point)
    if connection is None:
        if options.allow_other:
            mount_points.need_allow_other()
        path = mount_points.prepare(path)
    mount = Mount(operations, path, options, connection)
    try:
        yield mount
    finally:
        mount.close()


class Mount:
    """pyfuse3 keeps its session in module globals, so a process can have one at a time."""

    _one: "Mount | None" = None

    def __init__(self, operations: Operations, point: str, options: Options, connection: int | None = None) -> None:
        """Mount at `point`, as mount_points.prepare returned it. Raises NoDaemon with the reason that libfuse gave."""
        if Mount._one is not None:
            raise RuntimeError("this process has a mount already")
        self.point = point
        self._connected = connection is not None  # then libfuse does not know where to unmount
        self._connection = ""  # the kernel's name for it, once the mount answers
        self._limiter = trio.CapacityLimiter(1)
        self._scope = trio.CancelScope()
        self.turns: Turns | None = None
        said: list[str] = []
        try:
            with _heard(said):
                there = point if connection is None else f"/dev/fd/{connection}"
                pyfuse3.init(operations, there, options.to_libfuse())
        except RuntimeError:
            raise NoDaemon(f"{point}: cannot mount: {' '.join(said) or 'libfuse gives no reason'}") from None
        Mount._one = self
        self._lookups = operations.lookups
        self._invalidator = Invalidator()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Answer until the mount is taken away; `ready` is called once it has answered for the first time.

        Cancelled: calls under way stay unanswered until the mount is closed, and then fail with ENOTCONN.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._answer, nursery.cancel_scope)
                await trio.to_thread.run_sync(os.stat, self.point, abandon_on_cancel=True)
                self._raise_background()
                ready()
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._invalidator.close)

    async def _answer(self, scope: trio.CancelScope) -> None:
        self._scope = scope
        with frugal_turns() as self.turns:
            await pyfuse3.main(min_tasks=IDLE_TASKS, max_tasks=MAX_TASKS)
        scope.cancel()

    def _raise_background(self) -> None:
        there = mount_points.mounted_at(self.point)
        if there is None:
            return
        self._connection = there.connection
        for name, value in (("max_background", MAX_BACKGROUND), ("congestion_threshold", MAX_BACKGROUND * 3 // 4)):
            try:
                with open(f"{mount_points.CONNECTIONS}/{there.connection}/{name}", "w") as file:
                    file.write(str(value))
            except OSError as error:
                log.debug("%s stays as it is: %s", name, error)

    @property
    def asked_s(self) -> float:
        """When the kernel last asked for anything (monotonic; 0 before the first time)."""
        return self.turns.read_s if self.turns is not None else 0.0

    def changed_outside(self, parent: InodeNumber, name: bytes) -> None:
        """A name stands for something else now, no call through the mount did it, and it is committed: have the kernel
        ask again, soon. Who makes many such changes awaits `room_to_tell` between them."""
        if parent == ROOT_INODE or self._lookups.count(parent):  # else it knows nothing of this directory
            self._invalidator.changed(parent, name)

    async def room_to_tell(self) -> None:
        """Wait until not many changes are still to be told to the kernel."""
        await self._invalidator.room()

    async def told(self) -> None:
        """Wait until the kernel knows of every change so far."""
        await self._invalidator.drained()

    async def unmount(self, *, force: bool = False) -> bool:
        """Unmount while serving, so that the kernel can hand over what it still holds; `serve` then returns.

        False if the mount is in use and not `force`: nothing was done. With `force` it is detached instead: dirty
        pages are asked for, nobody can enter any more, and programs that hold files get ENOTCONN from then on.
        Raises NoDaemon.
        """
        gone = await trio.to_thread.run_sync(mount_points.unmount, self.point, self._connection, limiter=self._limiter)
        if gone or not force:
            return gone
        await trio.to_thread.run_sync(self._write_back, limiter=self._limiter)
        await trio.to_thread.run_sync(mount_points.detach, self.point, self._connection, limiter=self._limiter)
        # If who used it left meanwhile, `serve` may have returned and we be closed; pyfuse3 crashes without a session.
        if Mount._one is self:
            pyfuse3.terminate()
            self._scope.deadline = trio.current_time() + LAST_CALLS_S
        return True

    def _write_back(self) -> None:
        """Have the kernel send every dirty page of the mount (there is no SYNCFS message; it writes all the same)."""
        try:
            fd = os.open(self.point, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            log.warning("cannot ask for pages not yet written: %s", error)
            return
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
                log.warning("pages not yet written: %s", os.strerror(ctypes.get_errno()))
        finally:
            os.close(fd)

    def close(self) -> None:
        """End the session after `serve`; what is still mounted is detached and fails with ENOTCONN. Twice is fine."""
        if Mount._one is self:
            Mount._one = None
            if self._invalidator.close(1.0):
                pyfuse3.close(unmount=True)
                if self._connected:
                    mount_points.detach(self.point, self._connection)
            else:  # its thread still sits in the kernel, in this session, and waits for a call that waits for us
                mount_points.detach(self.point, self._connection)
                mount_points.abort(self._connection)


@contextlib.contextmanager
def _heard(lines: list[str]) -> Iterator[None]:
    """Collect what libfuse and fusermount3 write to standard error, which is the only place where they give reasons."""
    real, heard = os.dup(2), os.memfd_create("libfuse")
    os.dup2(heard, 2)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)
        with open(heard, "rb") as file:
            file.seek(0)
            lines += [line.strip() for line in file.read().decode(errors="backslashreplace").splitlines()]
