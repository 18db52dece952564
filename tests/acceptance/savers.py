"""The ways in which programs save a file. Each puts `content` under `path`, whether or not a file is there already.

Where the program itself is small it is run; where it is not (an office suite, a browser), its calls are repeated in
the order that strace showed of it.
"""

import ctypes
import ctypes.util
import mmap
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .harness import run

Saver = Callable[[Path, bytes, Path], None]
"""(path in the mount, content: text lines, a scratch file name outside of the mount)"""

WAYS: dict[str, Saver] = {}


def way(saver: Saver) -> Saver:
    WAYS[saver.__name__] = saver
    return saver


def prepared(scratch: Path, content: bytes) -> Path:
    scratch.write_bytes(content)
    scratch.chmod(0o644)
    return scratch


def write(
    path: Path | str,
    content: bytes,
    flags: int = os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    mode: int = 0o644,
    sync: bool = False,
) -> None:
    fd = os.open(path, flags, mode)
    try:
        for start in range(0, len(content), 8192):
            os.write(fd, content[start : start + 8192])
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


# -- editors --------------------------------------------------------------------------------------------------------


def _vim(path: Path, content: bytes, scratch: Path, *settings: str) -> None:
    source = prepared(scratch, content)
    # The swap file lies beside the file, as it does by default, and is what an editor session leaves behind last.
    start = "set swapfile directory=. writebackup backupskip="
    commands = [start, *settings, "%d _", f"0r {source}", "g/^$/d _", "preserve", "wq!"]
    run(
        "vim",
        "-u",
        "NONE",
        "-N",
        "-es",
        path,
        *(part for command in commands for part in ("-c", command)),
        cwd=path.parent,
    )


@way
def vim_in_place(path: Path, content: bytes, scratch: Path) -> None:
    _vim(path, content, scratch, "set backupcopy=yes")


@way
def vim_by_rename(path: Path, content: bytes, scratch: Path) -> None:
    _vim(path, content, scratch, "set backupcopy=no")


@way
def vim_by_its_own_choice(path: Path, content: bytes, scratch: Path) -> None:
    _vim(path, content, scratch, "set backupcopy=auto")


@way
def emacs(path: Path, content: bytes, scratch: Path) -> None:
    """Lock link, the old file renamed to a backup, the new one created; here the backup is then removed."""
    lock, backup = path.parent / f".#{path.name}", path.parent / f"{path.name}~"
    os.symlink("someone@machine.4711:1795535572", lock)
    if path.exists():
        os.rename(path, backup)
    write(path, content, os.O_WRONLY | os.O_CREAT | os.O_EXCL, sync=True)
    os.unlink(lock)
    if backup.exists():
        os.unlink(backup)


@way
def sed_in_place(path: Path, content: bytes, scratch: Path) -> None:
    if not path.exists():
        write(path, content[: len(content) // 2])
    source = prepared(scratch, content)
    run("sed", "-i", "-e", f"1r {source}", "-e", "d", path)


# -- desktop ---------------------------------------------------------------------------------------------------------


@way
def glib_replace(path: Path, content: bytes, scratch: Path) -> None:
    """g_file_replace(), as gedit and most of GNOME save."""
    subprocess.run(["gio", "save", str(path)], input=content, check=True, capture_output=True)


@way
def glib_replace_keeping_a_backup(path: Path, content: bytes, scratch: Path) -> None:
    subprocess.run(["gio", "save", "--backup", str(path)], input=content, check=True, capture_output=True)
    (path.parent / f"{path.name}~").unlink(missing_ok=True)


@way
def glib_copy(path: Path, content: bytes, scratch: Path) -> None:
    """g_file_copy(), as a file manager copies."""
    run("gio", "copy", prepared(scratch, content), path)


@way
def glib_set_contents(path: Path, content: bytes, scratch: Path) -> None:
    glib = ctypes.CDLL("libglib-2.0.so.0")
    assert glib.g_file_set_contents(os.fsencode(path), content, ctypes.c_ssize_t(len(content)), None)


@way
def glib_set_contents_durably(path: Path, content: bytes, scratch: Path) -> None:
    glib = ctypes.CDLL("libglib-2.0.so.0")
    consistent_and_durable = 3
    size = ctypes.c_ssize_t(len(content))
    assert glib.g_file_set_contents_full(os.fsencode(path), content, size, consistent_and_durable, 0o644, None)


@way
def libreoffice(path: Path, content: bytes, scratch: Path) -> None:
    """As LibreOffice 7.4 does "Save as" (no file yet) and "Save"."""
    lock, temp = path.parent / f".~lock.{path.name}#", path.parent / "lu26461vbom.tmp"
    write(lock, b",someone,machine,24.11.2026 15:52,file:///x;", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    document = os.open(path, os.O_RDWR) if path.exists() else None
    os.close(os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    write(temp, content, os.O_RDWR)
    if document is None:
        write(path, temp.read_bytes(), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.unlink(temp)
    else:
        os.close(document)
        os.rename(temp, path)
        os.chown(path, -1, os.getgid())
        os.chmod(path, 0o644)
    os.close(os.open(path, os.O_RDWR))  # it opens what it saved for the next save
    os.unlink(lock)


@way
def firefox_download(path: Path, content: bytes, scratch: Path) -> None:
    """An empty file takes the name; the bytes arrive beside it and are renamed over it."""
    write(path, b"")
    part = path.parent / f"{path.stem}.Qd8Rlh3z{path.suffix}.part"
    write(part, content[: len(content) // 2])
    write(part, content[len(content) // 2 :], os.O_WRONLY | os.O_APPEND)
    os.rename(part, path)


@way
def chromium_download(path: Path, content: bytes, scratch: Path) -> None:
    unconfirmed, named = path.parent / "Unconfirmed 471142.crdownload", path.parent / f"{path.name}.crdownload"
    write(unconfirmed, content[:1000])
    os.rename(unconfirmed, named)
    write(named, content[1000:], os.O_WRONLY | os.O_APPEND)
    os.rename(named, path)


# -- command line ----------------------------------------------------------------------------------------------------


@way
def cp(path: Path, content: bytes, scratch: Path) -> None:
    run("cp", prepared(scratch, content), path)


@way
def cp_archive(path: Path, content: bytes, scratch: Path) -> None:
    run("cp", "-a", prepared(scratch, content), path)


@way
def cp_remove_destination(path: Path, content: bytes, scratch: Path) -> None:
    run("cp", "--remove-destination", prepared(scratch, content), path)


@way
def mv_from_elsewhere(path: Path, content: bytes, scratch: Path) -> None:
    run("mv", prepared(scratch, content), path)


@way
def install(path: Path, content: bytes, scratch: Path) -> None:
    run("install", "-m", "644", prepared(scratch, content), path)


@way
def dd(path: Path, content: bytes, scratch: Path) -> None:
    run("dd", f"if={prepared(scratch, content)}", f"of={path}", "bs=1000", "conv=fsync")


@way
def shell_redirection(path: Path, content: bytes, scratch: Path) -> None:
    run("sh", "-c", 'head -n 2 "$1" >"$2"; tail -n +3 "$1" >>"$2"', "-", prepared(scratch, content), path)


@way
def tar_extract(path: Path, content: bytes, scratch: Path) -> None:
    source, archive = prepared(scratch.with_name(path.name), content), scratch.with_suffix(".tar")
    run("tar", "-C", source.parent, "-cf", archive, source.name)
    run("tar", "-C", path.parent, "-xf", archive)
    source.unlink()


@way
def rsync(path: Path, content: bytes, scratch: Path) -> None:
    run("rsync", "--ignore-times", prepared(scratch, content), path)


@way
def rsync_in_place(path: Path, content: bytes, scratch: Path) -> None:
    run("rsync", "--ignore-times", "--inplace", "--no-whole-file", prepared(scratch, content), path)


@way
def rsync_delayed(path: Path, content: bytes, scratch: Path) -> None:
    source = prepared(scratch.with_name(path.name), content)
    run("rsync", "--ignore-times", "--delay-updates", source, f"{path.parent}/")
    source.unlink()


@way
def rsync_by_directory(path: Path, content: bytes, scratch: Path) -> None:
    source = prepared(scratch.with_name(path.name), content)
    run("rsync", "--ignore-times", "--partial-dir=.rsync-partial", "--fsync", source, f"{path.parent}/")
    source.unlink()


# -- patterns of programs' own making --------------------------------------------------------------------------------


@way
def temp_fsync_rename(path: Path, content: bytes, scratch: Path) -> None:
    write(path.parent / "tmpk3j2x9", content, os.O_RDWR | os.O_CREAT | os.O_EXCL, sync=True)
    os.replace(path.parent / "tmpk3j2x9", path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


@way
def temp_in_a_directory_of_its_own(path: Path, content: bytes, scratch: Path) -> None:
    where = path.parent / ".saving-1f3a"
    os.mkdir(where)
    write(where / path.name, content)
    os.rename(where / path.name, path)
    os.rmdir(where)


@way
def rename_away_and_create(path: Path, content: bytes, scratch: Path) -> None:
    old = path.parent / f"{path.name}.old"
    if path.exists():
        os.rename(path, old)
    write(path, content)
    old.unlink(missing_ok=True)


@way
def delete_and_create(path: Path, content: bytes, scratch: Path) -> None:
    path.unlink(missing_ok=True)
    write(path, content, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


@way
def link_into_place(path: Path, content: bytes, scratch: Path) -> None:
    temp = path.parent / "_temp"
    write(temp, content)
    path.unlink(missing_ok=True)
    os.link(temp, path)
    os.unlink(temp)


@way
def exchange(path: Path, content: bytes, scratch: Path) -> None:
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    other = path.parent / "exchanged.tmp"
    if not path.exists():
        write(path, b"nothing yet\n")
    write(other, content)
    at_cwd, rename_exchange = -100, 2
    failed = libc.renameat2(at_cwd, os.fsencode(other), at_cwd, os.fsencode(path), rename_exchange)
    assert not failed, os.strerror(ctypes.get_errno())
    os.unlink(other)


@way
def truncate_then_write(path: Path, content: bytes, scratch: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(fd, 0)
    os.pwrite(fd, content[500:], 500)
    os.pwrite(fd, content[:500], 0)
    os.close(fd)


@way
def rewrite_in_place_and_cut(path: Path, content: bytes, scratch: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for start in range(0, len(content), 700):
        os.pwrite(fd, content[start : start + 700], start)
    os.ftruncate(fd, len(content))
    os.close(fd)


@way
def memory_map(path: Path, content: bytes, scratch: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(fd, len(content))
    with mmap.mmap(fd, len(content)) as mapped:
        os.close(fd)  # the map lives on: its bytes come late, with no close() to tell of them
        mapped[:] = content
        mapped.flush()


@way
def copy_file_range(path: Path, content: bytes, scratch: Path) -> None:
    """Between two files of the mount, as cp does it there: between file systems the kernel refuses."""
    draft = path.parent / "draft"
    write(draft, content)
    with open(draft, "rb") as source, open(path, "wb") as target:
        os.copy_file_range(source.fileno(), target.fileno(), len(content))
    draft.unlink()


@way
def sendfile(path: Path, content: bytes, scratch: Path) -> None:
    shutil.copyfile(prepared(scratch, content), path)


@way
def two_descriptors(path: Path, content: bytes, scratch: Path) -> None:
    """The second writer closes last, after the first one's close has sealed half of it."""
    first = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    second = os.open(path, os.O_WRONLY)
    half = len(content) // 2
    os.pwrite(first, content[:half], 0)
    os.close(first)
    os.pwrite(second, content[half:], half)
    os.close(second)
