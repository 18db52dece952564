"""Many small files and one large one: on two entries, with equal checksums."""

import hashlib
import os
import random

import pytest

from .harness import Onitu
from .trees import files, sha256


def test_a_thousand_small_files(onitu: Onitu) -> None:
    dice = random.Random(1)
    written = {}
    for n in range(1000):
        directory = onitu.mnt / f"d{n % 23}" / f"e{n % 7}"
        directory.mkdir(parents=True, exist_ok=True)
        content = dice.randbytes(dice.randrange(20_000))
        (directory / f"f{n}.dat").write_bytes(content)
        written[f"d{n % 23}/e{n % 7}/f{n}.dat".encode()] = ("file", len(content), hashlib.sha256(content).hexdigest())
    onitu.wait()
    assert files(onitu.mnt) == written
    for root in onitu.roots.values():
        assert files(root) == written
    assert onitu.ok("status", onitu.mnt).startswith("SAFE: all 1000 files")


@pytest.mark.long(29)
@pytest.mark.timeout(600)
def test_a_file_of_two_gibibytes(onitu: Onitu) -> None:
    """More than 2^31 bytes, no two megabytes alike: any block lost, doubled or moved would show."""
    block, size = os.urandom(1 << 20), (2 << 30) + 4711
    digest = hashlib.sha256()
    with open(onitu.mnt / "film.mkv", "wb", buffering=0) as file:
        for start in range(0, size, 1 << 20):
            piece = (start.to_bytes(8, "big") + block[8:])[: size - start]
            assert file.write(piece) == len(piece)
            digest.update(piece)
    onitu.wait(timeout=400)
    for place in (onitu.mnt, *onitu.roots.values()):
        assert os.stat(place / "film.mkv").st_size == size
        assert sha256(place / "film.mkv") == digest.hexdigest(), place


@pytest.mark.long(10)
@pytest.mark.timeout(600)
def test_a_tree_made_in_bulk_is_all_there_after_a_restart(onitu: Onitu) -> None:
    """Saved while entries are paused, so that the restart meets every file unsettled; then all of it is placed."""
    for entry in onitu.roots:
        onitu.ok("entry", "pause", entry, "--mount", onitu.mnt)
    for d in range(40):
        (onitu.mnt / f"dir {d}").mkdir()
        for f in range(50):
            (onitu.mnt / f"dir {d}" / f"file {f}").write_text(f"{d}/{f}\n")
    before = files(onitu.mnt)
    assert len(before) == 2000
    assert onitu.status()["files"]["pending"] >= 2000
    onitu.kill()
    onitu.mount()
    assert files(onitu.mnt) == before
    assert all(files(root) == {} for root in onitu.roots.values())
    for entry in onitu.roots:
        onitu.ok("entry", "resume", entry, "--mount", onitu.mnt)
    onitu.wait(timeout=200)
    for root in onitu.roots.values():
        assert files(root) == before
