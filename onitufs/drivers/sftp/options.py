"""Options of sftp, as manifest.json declares them."""

from dataclasses import dataclass
from pathlib import Path

from onitufs.drivers.values import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpOptions:
    host: str
    root: str
    port: int | None
    user: str | None
    key: Path | None
    passphrase: Secret | None
    password: Secret | None
    agent: bool
    host_key: str | None  # "SHA256:..."
    jump: str | None  # or "none"
    ssh_config: Path | str  # or "none"
    create: bool
    watch: float  # seconds
    trash_days: int
