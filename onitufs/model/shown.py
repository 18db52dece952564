"""How a mount shows owners and modes, whatever the files have: uid=, gid= and umask= of mount(8)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """None: as it is. Masks are the permission bits (0 to 0o777) that nothing is shown to have."""

    uid: int | None = None
    gid: int | None = None
    files: int = 0
    directories: int = 0

    @property
    def changes_nothing(self) -> bool:
        return self == Shown()
