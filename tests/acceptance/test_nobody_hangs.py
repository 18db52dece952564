"""Many programs work on files that others change on an entry: nobody hangs, and each content is one that was saved."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import Maker
from .harness import Onitu, until
from .restless_program import FILES
from .trees import Facts, tree

LASTS_S = float(os.environ.get("ONITUFS_STRESS_S", "30"))
LONGEST_WAIT_S = 15.0  # in one uninterruptible wait: more than a holder that does not answer gets
PROGRAM = Path(__file__).with_name("restless_program.py")


class Waits:
    """How long each process has been in its present uninterruptible wait. Source: proc(5), the state D."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids
        self.since: dict[int, tuple[str, float]] = {}
        self.longest_s = 0.0

    def look(self) -> None:
        for pid in self.pids:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                switches = Path(f"/proc/{pid}/status").read_text().partition("voluntary_ctxt_switches:")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError, IndexError):
                continue
            known = self.since.get(pid)
            if state != "D":
                self.since.pop(pid, None)
            elif known is None or known[0] != switches:
                self.since[pid] = switches, time.monotonic()
            else:
                self.longest_s = max(self.longest_s, time.monotonic() - known[1])


def files(root: Path) -> dict[bytes, Facts]:
    while True:
        try:
            return {path: facts for path, facts in tree(root).items() if facts[0] == "file"}
        except FileNotFoundError:
            continue


def is_whole(content: bytes) -> bool:
    body, _, length = content.rstrip(b"\n").rpartition(b"\n")
    return not content or (length.isdigit() and int(length) == len(body))


@pytest.mark.long(33)
def test_nobody_hangs_and_nothing_is_torn(new_onitu: Maker) -> None:
    onitu = new_onitu()
    onitu.mount()
    for number in range(FILES):
        (onitu.mnt / f"f{number}").write_bytes(b"")
    onitu.wait()
    programs = [("overwrite", onitu.mnt, n) for n in range(3)] + [("map", onitu.mnt, n) for n in range(3, 6)]
    programs += [("save", onitu.mnt, n) for n in range(2)] + [("scan", onitu.mnt, n) for n in range(3)]
    programs += [("save", onitu.roots["b"], 20), ("overwrite", onitu.roots["b"], 4), ("overwrite", onitu.roots["a"], 1)]
    running = [
        subprocess.Popen([sys.executable, PROGRAM, kind, where, str(number), str(LASTS_S)])
        for kind, where, number in programs
    ]
    try:
        waits = Waits([process.pid for process in running])
        deadline = time.monotonic() + LASTS_S + 60
        while any(process.poll() is None for process in running):
            waits.look()
            assert waits.longest_s < LONGEST_WAIT_S, f"a program hangs\n{onitu.log()[-2000:]}"
            assert time.monotonic() < deadline, "programs do not end"
            time.sleep(0.05)
        assert [process.returncode for process in running] == [0] * len(running)
    finally:
        for process in running:
            process.kill()
            process.wait()
    until("all agree", lambda: agree(onitu), 120)
    torn = [path.name for path in onitu.mnt.iterdir() if not is_whole(path.read_bytes())]
    assert not torn
    assert {f"f{number}" for number in range(FILES)} <= {path.name for path in onitu.mnt.iterdir()}


def agree(onitu: Onitu) -> bool:
    onitu.wait()
    return files(onitu.mnt) == files(onitu.roots["a"]) == files(onitu.roots["b"])
