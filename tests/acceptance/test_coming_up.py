"""A mount comes up quickly because the daemon brings along only what it needs."""

import os
import signal
from pathlib import Path

from .conftest import Maker
from .harness import until


def test_the_daemon_is_given_its_setup_and_brings_no_reader_along(new_onitu: Maker) -> None:
    """Reading a setup costs a tenth of a second, and memory for as long as the daemon runs."""
    onitu = new_onitu(afresh=True)
    onitu.mount()

    def has_reader() -> bool:
        return "pydantic_core" in Path(f"/proc/{onitu.pid}/maps").read_text()

    assert onitu.pid is not None
    assert not has_reader()
    os.kill(onitu.pid, signal.SIGHUP)  # told to read it again, it can
    until("the setup is read again", has_reader)
