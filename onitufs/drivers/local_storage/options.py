"""Options of local_storage, as manifest.json declares them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStorageOptions:
    root: Path
    create: bool
    trash_days: int
    watch: float | str  # seconds, or "auto"
