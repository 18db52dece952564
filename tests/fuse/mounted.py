"""Starting and ending `served.py`, and never leaving a mount or a process behind."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from onitufs.fuse import mount_points

_REPOSITORY = Path(__file__).resolve().parents[2]
_CONNECTIONS = Path("/sys/fs/fuse/connections")
READY_S = 30.0
ANSWER_S = 30.0


class Mounted:
    """One mount of a volume of its own. `root` is the mount point, `disk` a directory beside it, on a plain disk."""

    def __init__(self, **options: Any) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="onitufs-fuse-"))
        self.base.chmod(0o755)
        self.root, self.disk, self.state = (self.base / name for name in ("mnt", "disk", "state"))
        for directory in (self.root, self.disk, self.state):
            directory.mkdir()
        self.options = {"source": f"{self.base}/setup, of Jürgen.json", "allow_other": os.geteuid() == 0} | options
        self.log = open(self.base / "log", "w+b")  # noqa: SIM115  closed with the mount
        self.process: subprocess.Popen[bytes] | None = None
        self.connection = ""

    def start(self) -> "Mounted":
        """Mount, and wait until it answers. Raises RuntimeError with what it said otherwise."""
        return self._start({})

    def start_as(self, user: int) -> "Mounted":
        """The same, as another user, to whom mount point and state are given."""
        for directory in (self.root, self.state):
            os.chown(directory, user, user)
        return self._start({"user": user, "group": user, "extra_groups": ()})

    def _start(self, who: dict[str, Any]) -> "Mounted":
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuse.served", str(self.state), str(self.root), json.dumps(self.options)],
            cwd=_REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            **who,
        )
        said = self._line(READY_S)
        if "ready" not in said:
            raise RuntimeError(f"not mounted: {said}\n{self.logged()}")
        there = mount_points.mounted_at(str(self.root))
        assert there is not None
        self.connection = there.connection
        return self

    def call(self, what: str, **arguments: Any) -> Any:
        """Have the serving process do something; see served.Commands."""
        self.tell(what, **arguments)
        return self.answer()

    def tell(self, what: str, **arguments: Any) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        return self._line(ANSWER_S)["answer"]

    def _line(self, timeout_s: float) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        answered = select.poll()  # select() takes no descriptor above 1023
        answered.register(self.process.stdout, select.POLLIN)
        if not answered.poll(timeout_s * 1000):
            raise RuntimeError(f"no answer within {timeout_s} s\n{self.logged()}")
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"trouble": f"it ended: {self.process.wait()}"}

    def logged(self) -> str:
        return Path(self.log.name).read_text(errors="backslashreplace")

    def end(self) -> int:
        """Unmount in the orderly way and wait for the process. Its exit status."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(30)
        self._drop_pipes()
        return status

    def kill(self) -> None:
        """kill -9: the mount stays behind, dead."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self._drop_pipes()

    def abort(self) -> None:
        """Have the kernel give up on the mount: every call under way fails, however stuck."""
        (_CONNECTIONS / self.connection / "abort").write_text("1")

    def _drop_pipes(self) -> None:
        assert self.process is not None
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def close(self) -> None:
        """Leave nothing: whatever state the process and the mount are in."""
        if self.process is not None:
            if self.process.poll() is None:
                try:
                    self.end()
                except (subprocess.TimeoutExpired, BrokenPipeError):
                    if self.connection and (_CONNECTIONS / self.connection).exists():
                        self.abort()
                    self.process.kill()
                    self.process.wait(30)
            self._drop_pipes()
        while mount_points.mounted_at(str(self.root)) is not None:
            mount_points.detach(str(self.root))
        self.log.close()
        subprocess.run(["rm", "-rf", "--one-file-system", str(self.base)], check=True)


class Watchdog:
    """Aborts the mount if a test has not ended in time: a hang becomes a failure, not a machine to reboot."""

    def __init__(self, mounted: Mounted, timeout_s: float) -> None:
        self._command = [
            sys.executable,
            "-c",
            "import select,sys; select.select([0],[],[],float(sys.argv[1]))[0] or open(sys.argv[2],'w').write('1')",
            str(timeout_s),
            str(_CONNECTIONS / mounted.connection / "abort"),
        ]

    def __enter__(self) -> "Watchdog":
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
