"""How fast an entry may send and fetch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """Bytes a second, `up` to the entry and `down` from it; None: as fast as it goes."""

    up: int | None = None
    down: int | None = None


UNLIMITED = Bandwidth()
