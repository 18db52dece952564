#!/usr/bin/env python3
"""How long a mount with a large tree takes to answer after a restart, and how much memory it then has.

    .venv/bin/python scripts/bench_tree.py [--files 100000] [--entries 0|1|2]

Makes the tree through the mount (with --entries 0, the default, no rule names an entry), kills the daemon, and measures
the restart: until the mount answers, until `ls -l` of the largest directory is through, until all was walked.
Prints JSON. Leaves nothing behind.
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ONITUFS = Path(sys.executable).parent / "onitufs"


def onitufs(*command: object) -> str:
    return subprocess.run([ONITUFS, *map(str, command)], check=True, capture_output=True, text=True).stdout


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 3)


def memory_mb(pid: int) -> dict[str, float]:
    """Anonymous and all resident memory of a process, in MB. Source: proc(5)."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        key: round(int(lines[name].split()[0]) / 1000, 1)
        for key, name in (("anonymous", "RssAnon"), ("resident", "VmRSS"))
    }


def pid_of(mnt: Path) -> int:
    return int(json.loads(onitufs("status", mnt, "--json"))["pid"])


def ended(pid: int, how: signal.Signals) -> None:
    fd = os.pidfd_open(pid)
    signal.pidfd_send_signal(fd, how)
    select.select([fd], [], [])
    os.close(fd)


def make(mnt: Path, files: int) -> None:
    """A thousand files a directory, but a tenth of all in one."""
    for n in range(files):
        directory = mnt / f"d{n // 1000:04d}" / f"s{n % 7}" if n % 10 else mnt / "large"
        if n % 1000 < 10:
            directory.mkdir(parents=True, exist_ok=True)
        with open(directory / f"file-{n:06d}.txt", "wb") as file:
            file.write(b"%d\n" % n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=0, choices=(0, 1, 2))
    parser.add_argument("--work", type=Path, help="where to work; default: a new directory in /var/tmp")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onitufs-bench-", dir=args.work or "/var/tmp") as work:
        print(json.dumps(measure(Path(work), args.files, args.entries), indent=1))


def measure(base: Path, files: int, entries: int) -> dict[str, object]:
    mnt, setup = base / "mnt", base / "setup.json"
    names = ["a", "b"][:entries]
    for directory in (mnt, *(base / name for name in ("a", "b"))):
        directory.mkdir()
    drivers = {name: {"driver": "local_storage", "options": {"root": str(base / name)}} for name in ("a", "b")}
    rules = [{"match": {"path": "/"}, "sync": names}] if names else []
    setup.write_text(json.dumps({"name": "bench", "entries": drivers, "rules": rules}))
    command = ("mount", setup, mnt, "--state", base / "state")
    found: dict[str, object] = {"files": files, "entries": entries}
    onitufs(*command)
    try:
        found["made, s"] = timed(lambda: make(mnt, files))
        found["placed, s"] = timed(lambda: onitufs("wait", mnt))
        found["memory after making, MB"] = memory_mb(pid_of(mnt))
        ended(pid_of(mnt), signal.SIGKILL)
        found["mount after kill -9, s"] = timed(lambda: onitufs(*command))
        found["ls -l of the largest directory, s"] = timed(
            lambda: subprocess.run(["ls", "-l", mnt / "large"], check=True, stdout=subprocess.DEVNULL)
        )
        found["memory then, MB"] = memory_mb(pid_of(mnt))
        onitufs("umount", mnt)
        found["mount after umount, s"] = timed(lambda: onitufs(*command))
        found["first ls, s"] = timed(lambda: os.listdir(mnt))
        found["find over all, s"] = timed(
            lambda: subprocess.run(["find", mnt, "-size", "+1000"], check=True, stdout=subprocess.DEVNULL)
        )
        found["memory with all of it known to the kernel, MB"] = memory_mb(pid_of(mnt))
    finally:
        subprocess.run([ONITUFS, "umount", mnt, "--now"], check=False, capture_output=True)
        if os.path.ismount(mnt):
            subprocess.run(["umount", "-l", mnt], check=False)
    return found


if __name__ == "__main__":
    main()
