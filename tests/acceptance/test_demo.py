"""scripts/demo, as a newcomer runs it."""

import os
import re
import shlex
import subprocess
from pathlib import Path

DEMO = Path(__file__).parents[2] / "scripts" / "demo"


def demo(tmp_path: Path, *arguments: str) -> str:
    done = subprocess.run(
        [DEMO, *arguments],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mounts_below(directory: Path) -> list[str]:
    return [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if str(directory) in line]


def test_it_shows_the_main_job_and_leaves_nothing(tmp_path: Path) -> None:
    said = demo(tmp_path)
    assert "SAFE: all" in said
    assert re.search(r"disk: \d+ files, all as saved, and no other", said)
    assert re.search(r"backup: 3 files, all as saved, and no other", said)
    assert re.search(r"mount: \d+ files, all as saved", said)
    assert "rules[1]" in said
    assert mounts_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_kept_it_is_mounted_beside_another_run_and_says_how_to_end(tmp_path: Path) -> None:
    last = demo(tmp_path, "--keep").splitlines()[-1]
    (mount,) = mounts_below(tmp_path)
    try:
        assert sorted(os.listdir(mount))[:3] == ["LICENSE", "README.md", "backedup"]
        demo(tmp_path)
        assert mounts_below(tmp_path) == [mount]
    finally:
        umount, remove = (shlex.split(part) for part in last.split("&&"))
        subprocess.run(umount, check=True, capture_output=True)
    subprocess.run(remove, check=True)
    assert list(tmp_path.iterdir()) == []
