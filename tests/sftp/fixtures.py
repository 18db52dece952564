"""Servers for the tests: none is left running."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .server import Sshd, ended_after

NewSshd = Callable[..., Sshd]


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    """A server for tests that each work in a directory of their own, and do not kill it."""
    yield from ended_after(Sshd())


@pytest.fixture(scope="module")
def chrooted_sshd() -> Iterator[Sshd]:
    yield from ended_after(Sshd(chrooted=True))


@pytest.fixture(scope="module")
def bare_sshd() -> Iterator[Sshd]:
    """A server without any of OpenSSH's extensions that we make use of."""
    refused = "posix-rename,hardlink,fsync,limits,lsetstat,statvfs"
    yield from ended_after(Sshd(more=(f"Subsystem sftp internal-sftp -P {refused}",)))


@pytest.fixture
def new_sshd() -> Iterator[NewSshd]:
    """Makes a running server of the test's own."""
    made: list[Sshd] = []

    def make(**how: Any) -> Sshd:
        server = Sshd(**how)
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.end()
