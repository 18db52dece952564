"""Options of sqlite, as manifest.json declares them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SQLiteOptions:
    database: Path
    trash_days: int
