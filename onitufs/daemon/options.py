"""How a mount is asked for: what the command line and fstab can say beyond the setup and the mount point."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MountOptions:
    """Options of one mount. Defaults are those of a plain `onitufs mount SETUP MOUNTPOINT`."""

    allow_other: bool = False  # other users may enter; the kernel judges by mode and owner
    xattr: bool = False  # extended attributes: one more round trip for each write
    read_only: bool = False
    exec: bool = True
    suid: bool = False  # honoured by the kernel for a mount by root only
    dev: bool = False  # the same
    uid: int | None = None  # owner of the mount's root directory and of what entries bring; None: who mounts
    gid: int | None = None
