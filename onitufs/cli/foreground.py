"""Being the daemon, in this process: log, socket, mount, and telling whoever waits how it went."""

import logging
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from onitufs.control import runtime
from onitufs.daemon.options import MountOptions
from onitufs.model.errors import Exit, StateError

from .failures import told

if TYPE_CHECKING:
    from onitufs.daemon.detach import Caller

log = logging.getLogger(__name__)


def run(setup: str, point: str, options: MountOptions, state: str | None, ready_fd: int | None) -> int:
    """Mount and serve until stopped. With `ready_fd` (see daemon.detach) errors are told there, else raised."""
    from onitufs.daemon.detach import Caller

    caller = Caller(ready_fd)
    in_background = caller.waits
    try:
        _run(setup, point, options, state, caller)
    except BaseException as error:
        lines, exit_status = told(error)
        if logging.getLogger().handlers:
            for line in lines:
                log.log(logging.ERROR, "%s", line, exc_info=error if exit_status == Exit.BUG else None)
        if not in_background:
            raise
        caller.failed("\n".join(lines), exit_status)
        return exit_status
    return Exit.FINE


def _run(setup: str, point: str, options: MountOptions, state: str | None, caller: "Caller") -> None:
    import faulthandler

    import trio

    from onitufs import __version__
    from onitufs.control.server import serve
    from onitufs.daemon import core, logs
    from onitufs.daemon.sdnotify import notify
    from onitufs.setup import load

    name = load(Path(setup)).name
    directory = Path(state if state is not None else runtime.state_directory(name))
    _make_private(directory)
    written = logs.start(directory / "log", stderr=not caller.waits, debug=bool(os.environ.get("ONITUFS_DEBUG")))
    caller.log_is(written)
    faulthandler.enable()

    def ready() -> None:
        caller.ready()
        notify("READY=1")

    log.info("starting", extra={"setup": setup, "mount": point, "state": str(directory), "version": __version__})
    try:
        trio.run(
            partial(
                core.run,
                Path(setup),
                Path(point),
                options=options,
                state=directory,
                log_path=written,
                serve=serve,
                ready=ready,
            )
        )
    finally:
        notify("STOPPING=1")
    log.info("ended")


def _make_private(directory: Path) -> None:
    """Make the state directory, for us alone. One that exists keeps its mode: what is made inside is private anyway."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"{directory}: the state directory cannot be made ({error.strerror}): choose another with --state"
        ) from error
