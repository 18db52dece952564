"""What systemd does for x-systemd.automount, as a program: told to mount, it runs mount(8). Run in a machine, as root.

    python automount.py POINT COMMAND...     COMMAND looks into the mount; its exit status is ours

COMMAND runs in a session of its own, as any program, and waits in the kernel until the automount says that it is done.
Source: autofs.rst in the kernel's documentation, and include/uapi/linux/auto_fs.h.
"""

import ctypes
import fcntl
import os
import struct
import subprocess
import sys

READY, FAIL = 0x9360, 0x9361  # AUTOFS_IOC_READY, AUTOFS_IOC_FAIL
PACKET = struct.Struct("iiIIQIIIII256s4x")  # autofs_v5_packet
MISSING_DIRECT = 5


def main(point: str, *command: str) -> int:
    os.setsid()
    kernel_says, pipe = os.pipe()
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={pipe},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
    if libc.mount(b"systemd-1", os.fsencode(point), b"autofs", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "autofs")
    os.close(pipe)
    automount = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with subprocess.Popen(command, start_new_session=True) as program:
            packet = PACKET.unpack(os.read(kernel_says, PACKET.size))
            assert packet[1] == MISSING_DIRECT
            # in our process group: to all others the kernel does not show the mount point yet
            mounted = subprocess.run(["/bin/mount", point], check=False, timeout=60).returncode
            fcntl.ioctl(automount, FAIL if mounted else READY, packet[2])
        return program.returncode
    finally:
        os.close(automount)


sys.exit(main(*sys.argv[1:]))
