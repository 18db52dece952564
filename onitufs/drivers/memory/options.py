"""Options of memory, as manifest.json declares them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    service: str
