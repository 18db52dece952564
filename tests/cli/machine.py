"""A machine of one's own, as far as mounting goes: a mount namespace with its own fstab, users and /usr/local/bin."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

UID = 43210
USER = "onitu-test"

SET_UP = """
set -e
mount -t tmpfs -o mode=755,dev tmpfs "$BASE/own"
cd "$BASE/own"
mknod -m 666 fuse c 10 229      # containers often keep it to root; udev does not
sed "s,^\\(root:[^:]*:0:0:[^:]*\\):[^:]*:,\\1:$BASE/root:," /etc/passwd > passwd
echo "$USER_NAME:x:$USER_ID:$USER_ID::$BASE/home:/bin/sh" >> passwd
touch fstab fuse.conf
mkdir bin
ln -s "$ONITUFS" bin/onitufs
mount --bind fuse /dev/fuse
mount --bind passwd /etc/passwd
mount --bind fstab /etc/fstab
mount --bind fuse.conf /etc/fuse.conf
mount --bind bin /usr/local/bin
mkdir sbin real-sbin
mount --bind /usr/sbin real-sbin
ln -s "$BASE"/own/real-sbin/* sbin
mount --bind sbin /usr/sbin      # where a helper of mount(8) can be put without touching that of the machine
mkdir -p /run/user /run/mount
mount -t tmpfs tmpfs /run/user
mount -t tmpfs tmpfs /run/mount  # where libmount notes who mounted what
echo set up
exec sleep infinity
"""


class Machine:
    """Commands run in it with an empty environment, as root or as USER, whose home is `home`."""

    def __init__(self, base: Path, holder: int) -> None:
        self.base = base
        self.home = base / "home"
        self._holder = holder

    def run(
        self, *command: str | Path, uid: int = 0, environment: Sequence[str] = ()
    ) -> "subprocess.CompletedProcess[str]":
        enter = ["/usr/bin/nsenter", f"--target={self._holder}", "--mount", "--root"]  # the root: we may be in a chroot
        become = ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        return subprocess.run(
            [*enter, *become, "/usr/bin/env", "-i", *environment, *map(str, command)],
            capture_output=True, text=True, check=False, timeout=90,
        )  # fmt: skip

    def write(self, path: str, text: str) -> None:
        """Replace a file of the machine, keeping the file itself: it may be mounted on."""
        done = self.run("/bin/sh", "-c", 'printf %s "$2" > "$1"', "sh", path, text)
        assert done.returncode == 0, done.stderr


@contextmanager
def a_machine(onitufs: str) -> Iterator[Machine]:
    base = Path(tempfile.mkdtemp(prefix="onitufs-machine-", dir="/var/tmp"))
    base.chmod(0o755)
    for name in ("own", "home", "root"):
        (base / name).mkdir()
    os.chown(base / "home", UID, UID)
    environment = {**os.environ, "BASE": str(base), "ONITUFS": onitufs, "USER_NAME": USER, "USER_ID": str(UID)}
    command = ["/usr/bin/unshare", "--mount", "--propagation", _propagation(), "/bin/sh", "-c", SET_UP]
    with subprocess.Popen(command, env=environment, stdout=-1, text=True) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "set up\n"
            yield Machine(base, holder.pid)
        finally:
            _end_daemons(base)
            holder.kill()
    shutil.rmtree(base)


def _propagation() -> str:
    """How to keep our mounts to ourselves. In a plain chroot the root is no mount point, and nothing can be changed."""
    with open("/proc/self/mountinfo", "rb") as file:
        return "private" if any(line.split()[4] == b"/" for line in file) else "unchanged"


def _end_daemons(base: Path) -> None:
    """Kill what a failed test left: processes that have our directory in their command line."""
    left = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if b"onitufs" in line and os.fsencode(base) in line:
                os.kill(int(process.name), signal.SIGKILL)
                left.append(process)
    while any(process.exists() for process in left):
        time.sleep(0.01)
