"""Options of dropbox, as manifest.json declares them."""

from dataclasses import dataclass

from onitufs.drivers.values import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class DropboxOptions:
    app_key: str
    token: Secret
    root: str
