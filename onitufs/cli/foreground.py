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
    from onitufs.setup import Setup

log = logging.getLogger(__name__)


def run(setup: str, point: str, options: MountOptions, caller: "Caller", connection: int | None = None) -> int:
    """Mount and serve until stopped. If somebody waits for us (see daemon.detach) errors are told there, else raised.

    The setup is the one that the caller has read, if it has. `connection`: see daemon.core.run.
    """
    in_background = caller.waits
    try:
        _run(setup, point, options, caller, connection)
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


def _run(path: str, point: str, options: MountOptions, caller: "Caller", connection: int | None) -> None:
    import faulthandler
    import threading

    import trio

    from onitufs import __version__
    from onitufs.control.server import serve
    from onitufs.daemon import core, logs
    from onitufs.daemon.sdnotify import notify
    from onitufs.setup import load

    setup: Setup = caller.receive() or load(Path(path))
    directory = Path(options.state if options.state is not None else runtime.state_directory(setup.name))
    _make_private(directory)
    debug = bool(os.environ.get("ONITUFS_DEBUG"))
    written = logs.start(directory / "log", stderr=not caller.waits, debug=debug, later=caller.waits)
    caller.log_is(written)
    faulthandler.enable()

    def ready() -> None:
        caller.ready()
        notify("READY=1")
        threading.Thread(target=logs.go_on, name="log", daemon=True).start()

    log.info("starting", extra={"setup": path, "mount": point, "state": str(directory), "version": __version__})
    try:
        trio.run(
            partial(
                core.run,
                setup,
                Path(point),
                options=options,
                state=directory,
                log_path=written,
                serve=serve,
                ready=ready,
                connection=connection,
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
