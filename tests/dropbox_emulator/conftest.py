"""The emulator, and the plain SDK as a client of it."""

from collections.abc import Callable
from typing import Any

import dropbox
import pytest

from .fixture import APP_KEY, DropboxEmulator, dropbox_emulator, dropbox_process

__all__ = ["dropbox_emulator", "dropbox_process"]

Connect = Callable[..., dropbox.Dropbox]


@pytest.fixture
def connect(dropbox_emulator: DropboxEmulator) -> Connect:
    """A client of the first account, or of another; it retries nothing by itself."""

    def connect(account: str | None = None, scopes: list[str] | None = None, **options: Any) -> dropbox.Dropbox:
        token = dropbox_emulator.control.refresh_token(account=account, scopes=scopes)
        return dropbox.Dropbox(
            oauth2_refresh_token=token, app_key=APP_KEY, session=dropbox_emulator.session(pool_maxsize=16),
            max_retries_on_error=0, max_retries_on_rate_limit=0, timeout=30, **options,
        )  # fmt: skip

    return connect


@pytest.fixture
def client(connect: Connect) -> dropbox.Dropbox:
    return connect()
