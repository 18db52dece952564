"""How a mount is asked for: what the command line and fstab can say beyond the setup and the mount point."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from onitufs.model.shown import Shown

if TYPE_CHECKING:
    from onitufs.fuse.mounting import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class MountOptions:
    """Options of one mount. Defaults are those of a plain `onitufs mount SETUP MOUNTPOINT`."""

    allow_other: bool = False  # other users may enter; the kernel judges by mode and owner
    xattr: bool = False  # extended attributes: one more round trip for each write
    read_only: bool = False
    exec: bool = True
    suid: bool = False  # honoured by the kernel for a mount by root only
    dev: bool = False  # the same
    shown: Shown = field(default_factory=Shown)
    linger_s: float = 30.0  # how long to go on placing after somebody else unmounted us
    state: str | None = None  # directory of the local store
    setuid: str | None = None  # whom root serves: a name or a uid; None: the owner of the setup

    def for_kernel(self, source: str) -> "Options":
        """What the kernel is told. `source`: the setup's path, which is what df(1) and mount(8) show."""
        from onitufs.fuse.mounting import Options

        return Options(
            source=source,
            allow_other=self.allow_other,
            read_only=self.read_only,
            exec=self.exec,
            suid=self.suid,
            dev=self.dev,
        )
