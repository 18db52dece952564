"""Files whose bytes are only on an entry, used by ordinary programs."""

import contextlib
import errno
import mmap
import os
import shutil
import signal
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from .absence import absent, content_files, forget_bytes
from .conftest import Maker
from .harness import Onitu, run, until

MIB = 1 << 20
SMALL = b"a line of text\n" * 100
LARGE = os.urandom(1 << 16) * (12 * 16) + b"the end"  # 12 MiB, and no whole number of blocks


def planted(onitu: Onitu, files: dict[str, bytes], **how: bool) -> None:
    """A mount in which these files are absent; each is on every entry."""
    onitu.mount()
    for path, data in files.items():
        where = onitu.mnt / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
    onitu.wait()
    onitu.umount()
    forget_bytes(onitu.state, files, **how)
    onitu.mount()


@pytest.fixture
def far(new_onitu: Maker) -> Onitu:
    """A small and a large file, on one entry, not here."""
    onitu = new_onitu(entries=("a",))
    planted(onitu, {"small": SMALL, "large": LARGE})
    return onitu


def is_here(path: Path) -> bool:
    """A large file that is absent cannot be mapped shared."""
    with open(path, "rb") as file:
        try:
            mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ).close()
        except OSError as error:
            return error.errno != errno.ENODEV
    return True


def test_whole_files_are_read(far: Onitu) -> None:
    assert (far.mnt / "small").stat().st_size == len(SMALL)
    assert (far.mnt / "small").read_bytes() == SMALL
    assert (far.mnt / "large").read_bytes() == LARGE
    until("it is here as a whole", lambda: is_here(far.mnt / "large"))
    far.umount()
    assert not absent(far.state, "small")
    assert not absent(far.state, "large")
    far.mount()
    shutil.rmtree(far.roots["a"])  # from now on they are here
    assert (far.mnt / "large").read_bytes() == LARGE


def test_parts_are_read_without_the_rest(far: Onitu) -> None:
    assert not is_here(far.mnt / "large")
    with open(far.mnt / "large", "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 10, 5 * MIB - 5) == LARGE[5 * MIB - 5 : 5 * MIB + 5]
        assert os.pread(file.fileno(), 100, len(LARGE) - 7) == b"the end"
        assert os.pread(file.fileno(), 100, len(LARGE) + 50) == b""
        (here,) = content_files(far.state)
        assert here.stat().st_blocks * 512 < 5 * MIB
    far.umount()
    assert absent(far.state, "large")


def test_without_known_digests(new_onitu: Maker) -> None:
    onitu = new_onitu(entries=("a",))
    planted(onitu, {"small": SMALL, "large": LARGE}, keep_digest=False)
    assert (onitu.mnt / "small").read_bytes() == SMALL
    assert (onitu.mnt / "large").read_bytes() == LARGE


def test_ordinary_programs(new_onitu: Maker, tmp_path: Path) -> None:
    onitu = new_onitu(entries=("a",))
    files = {f"tree/d{n % 7}/f{n}": f"number {n}\n".encode() * (n * 50) for n in range(60)} | {"tree/large": LARGE}
    planted(onitu, files)
    found = run("grep", "-rl", "number 33$", onitu.mnt / "tree")
    assert found.split() == [str(onitu.mnt / "tree/d5/f33")]
    run("cp", "-a", onitu.mnt / "tree", tmp_path / "copy")
    run("diff", "-r", onitu.mnt / "tree", tmp_path / "copy")
    run("tar", "-C", onitu.mnt, "-cf", tmp_path / "tree.tar", "tree")
    with tarfile.open(tmp_path / "tree.tar") as archive:
        member = archive.extractfile("tree/large")
        assert member is not None
        assert member.read() == LARGE
    assert int(run("du", "-s", "-B1", "--apparent-size", onitu.mnt / "tree/large").split()[0]) == len(LARGE)


def test_programs_take_nothing_absent_for_a_hole(far: Onitu, tmp_path: Path) -> None:
    run("cp", "--sparse=auto", far.mnt / "large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == LARGE
    far.umount()
    forget_bytes(far.state, ["large"])
    far.mount()
    run("tar", "-C", far.mnt, "--sparse", "-cf", tmp_path / "tar", "large")
    run("tar", "-C", tmp_path, "-xf", tmp_path / "tar")
    assert (tmp_path / "large").read_bytes() == LARGE


def test_mapped_privately(far: Onitu) -> None:
    for name, data in (("small", SMALL), ("large", LARGE)):
        with open(far.mnt / name, "rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as view:
            assert view[:] == data


def test_a_program_that_is_not_here_runs(new_onitu: Maker) -> None:
    onitu = new_onitu(entries=("a",))
    planted(onitu, {"true": Path(shutil.which("true") or "").read_bytes()})
    os.chmod(onitu.mnt / "true", 0o755)
    run(onitu.mnt / "true")


def test_many_readers_of_one_file(far: Onitu) -> None:
    wrong: list[int] = []

    def read(at: int) -> None:
        with open(far.mnt / "large", "rb", buffering=0) as file:
            file.seek(at)
            if file.read(MIB) != LARGE[at : at + MIB]:
                wrong.append(at)

    readers = [threading.Thread(target=read, args=(n * 700_001 % len(LARGE),)) for n in range(40)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not wrong


def fails_with(number: int, path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError as error:
        return error.errno == number
    return False


def test_a_paused_entry_is_told_at_once_and_comes_back(far: Onitu) -> None:
    far.ok("entry", "pause", "a", "--mount", far.mnt)
    until("reads fail", lambda: fails_with(errno.EHOSTDOWN, far.mnt / "small"))
    with open(far.mnt / "large", "rb", buffering=0) as file:  # opening a large one succeeds
        with pytest.raises(OSError, match=os.strerror(errno.EHOSTDOWN)):
            file.read(10)
        (far.mnt / "elsewhere").write_bytes(b"goes on")
        far.ok("entry", "resume", "a", "--mount", far.mnt)
        until("reads succeed", lambda: not fails_with(errno.EHOSTDOWN, far.mnt / "small"))
        assert file.read(10) == LARGE[:10]
    assert (far.mnt / "small").read_bytes() == SMALL


def test_another_entry_goes_on_where_one_left(new_onitu: Maker) -> None:
    onitu = new_onitu(entries=("a", "b"))
    planted(onitu, {"large": LARGE, "small": SMALL})
    with open(onitu.mnt / "large", "rb", buffering=0) as file:
        assert file.read(1000) == LARGE[:1000]
        onitu.ok("entry", "pause", "a", "--mount", onitu.mnt)
        assert os.pread(file.fileno(), 1000, 8 * MIB) == LARGE[8 * MIB : 8 * MIB + 1000]
    os.rename(onitu.roots["b"], onitu.base / "away")
    assert fails_with(errno.EHOSTDOWN, onitu.mnt / "small")
    onitu.ok("entry", "resume", "a", "--mount", onitu.mnt)
    until("it is read from the other", lambda: (onitu.mnt / "small").read_bytes() == SMALL)
    assert (onitu.mnt / "large").read_bytes() == LARGE


def test_what_was_changed_on_its_only_entry_is_read_as_it_is_now(new_onitu: Maker) -> None:
    """At once: an open waits until the change is taken over, and no program gets ESTALE."""
    onitu = new_onitu(entries=("a",))
    files = {f"f{n}": b"%d: " % n + SMALL for n in range(20)} | {f"large{n}": b"%d: " % n + LARGE for n in range(3)}
    planted(onitu, files)
    for name, data in files.items():
        aside = onitu.roots["a"] / ".aside"
        aside.write_bytes(data[::-1])
        os.rename(aside, onitu.roots["a"] / name)
        assert (onitu.mnt / name).read_bytes() == data[::-1]


def test_what_was_deleted_on_its_only_entry_is_not_there(far: Onitu) -> None:
    for name in ("small", "large"):
        (far.roots["a"] / name).unlink()
        with pytest.raises(FileNotFoundError):
            (far.mnt / name).read_bytes()


def test_killed_in_the_middle(far: Onitu) -> None:
    fd = os.open(far.mnt / "large", os.O_RDONLY)
    assert os.read(fd, MIB) == LARGE[:MIB]
    far.kill()
    with contextlib.suppress(OSError):  # its mount is gone
        os.close(fd)
    far.mount()
    assert (far.mnt / "large").read_bytes() == LARGE
    until("what was half fetched is gone", lambda: len(content_files(far.state)) == 1)
    until("it is here as a whole", lambda: is_here(far.mnt / "large"))
    far.kill()
    far.mount()
    shutil.rmtree(far.roots["a"])
    assert (far.mnt / "large").read_bytes() == LARGE
    assert (far.mnt / "small").stat().st_size == len(SMALL)


def changed(far: Onitu, name: str, expected: bytes) -> None:
    """It is that in the mount, after a crash, and on the entry."""
    assert (far.mnt / name).read_bytes() == expected
    far.kill()
    far.mount()
    assert (far.mnt / name).read_bytes() == expected
    far.wait()
    assert (far.roots["a"] / name).read_bytes() == expected


@pytest.mark.parametrize(("name", "data"), [("small", SMALL), ("large", LARGE)])
class TestChanging:
    def test_in_the_middle(self, far: Onitu, name: str, data: bytes) -> None:
        with open(far.mnt / name, "r+b") as file:
            file.seek(500)
            file.write(b"changed")
        changed(far, name, data[:500] + b"changed" + data[507:])

    def test_at_the_end(self, far: Onitu, name: str, data: bytes) -> None:
        with open(far.mnt / name, "ab") as file:
            file.write(b"more")
        changed(far, name, data + b"more")

    def test_cut_short(self, far: Onitu, name: str, data: bytes) -> None:
        os.truncate(far.mnt / name, 700)
        changed(far, name, data[:700])

    def test_made_longer(self, far: Onitu, name: str, data: bytes) -> None:
        os.truncate(far.mnt / name, len(data) + 9)
        changed(far, name, data + bytes(9))

    def test_emptied_and_replaced_without_a_fetch(self, far: Onitu, name: str, data: bytes) -> None:
        far.ok("entry", "pause", "a", "--mount", far.mnt)
        os.truncate(far.mnt / name, 0)
        assert (far.mnt / name).read_bytes() == b""
        (far.mnt / name).write_bytes(b"anew")
        far.ok("entry", "resume", "a", "--mount", far.mnt)
        changed(far, name, b"anew")

    def test_renamed_and_linked(self, far: Onitu, name: str, data: bytes) -> None:
        far.ok("entry", "pause", "a", "--mount", far.mnt)
        os.rename(far.mnt / name, far.mnt / "other name")
        os.link(far.mnt / "other name", far.mnt / "second name")
        far.ok("entry", "resume", "a", "--mount", far.mnt)
        far.wait()
        assert (far.mnt / "other name").read_bytes() == data
        for placed in ("other name", "second name"):
            assert (far.roots["a"] / placed).read_bytes() == data

    def test_removed(self, far: Onitu, name: str, data: bytes) -> None:
        (far.mnt / name).unlink()
        far.wait()
        assert not (far.roots["a"] / name).exists()
        assert not content_files(far.state)


def test_rules_bring_absent_files_to_other_entries(new_onitu: Maker) -> None:
    onitu = new_onitu(entries=("a", "b"), rules=[{"match": {"path": "/"}, "sync": ["a"]}])
    planted(onitu, {"small": SMALL, "large": LARGE, "typed": b"%PDF-1.4\n" + SMALL})
    onitu.rules = [*onitu.rules, {"match": {"path": "/large"}, "sync": ["b"]}]
    onitu.rules.append({"match": {"path": "/", "mime": ["application/pdf"]}, "sync": ["b"]})
    onitu.write_setup()
    onitu.umount()
    onitu.mount()
    onitu.wait()
    assert (onitu.roots["b"] / "large").read_bytes() == LARGE
    assert (onitu.roots["b"] / "typed").read_bytes() == b"%PDF-1.4\n" + SMALL
    assert not (onitu.roots["b"] / "small").exists()
    onitu.umount()
    assert absent(onitu.state, "small")


def test_what_cannot_be_brought_is_shown_and_tried_again(new_onitu: Maker) -> None:
    onitu = new_onitu(entries=("a", "b"), rules=[{"match": {"path": "/"}, "sync": ["a"]}])
    planted(onitu, {"small": SMALL})
    onitu.ok("entry", "pause", "a", "--mount", onitu.mnt)
    onitu.rules = [{"match": {"path": "/"}, "sync": ["a", "b"]}]
    onitu.write_setup()
    onitu.umount("--now")
    onitu.mount()
    until("it is told", lambda: told(onitu))
    onitu.ok("entry", "resume", "a", "--mount", onitu.mnt)
    onitu.wait()
    assert (onitu.roots["b"] / "small").read_bytes() == SMALL


def told(onitu: Onitu) -> bool:
    return "not placed yet" in onitu.run("status", onitu.mnt).stdout


def test_programs_that_read_everything_fill_nothing(far: Onitu, tmp_path: Path) -> None:
    scanner = tmp_path / "tumblerd"
    shutil.copy(shutil.which("cat") or "", scanner)

    def scanned(name: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([scanner, far.mnt / name], capture_output=True, timeout=60, check=False)

    assert scanned("small").stdout == SMALL
    refused = scanned("large")
    assert refused.stdout == LARGE[: 256 << 10]
    assert b"Operation not permitted" in refused.stderr
    assert not content_files(far.state)
    far.extra = {"scanners": {"except": ["tumblerd"]}}
    far.write_setup()
    assert far.pid is not None
    os.kill(far.pid, signal.SIGHUP)
    until("it is no scanner any more", lambda: scanned("large").stdout == LARGE)
    assert content_files(far.state)
