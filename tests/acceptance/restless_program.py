"""One program that is at work on a directory for a while: `restless_program.py KIND DIRECTORY NUMBER SECONDS`.

Every content that it saves tells by its last line whether it is whole. What it is refused is its bad luck.
"""

import mmap
import os
import random
import sys
import time
from pathlib import Path

FILES = 12
BLOCK = 4096


def text(who: str, number: int, dice: random.Random) -> bytes:
    body = f"{who} {number}\n".encode() + bytes([65 + number % 26]) * dice.randrange(1, 40 * BLOCK)
    return body + f"\n{len(body)}\n".encode()


def overwrite(path: Path, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.truncate()
        file.write(content)


def write_by_map(path: Path, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.truncate(len(content))
        with mmap.mmap(file.fileno(), len(content)) as mapped:
            mapped[:] = content
            mapped.flush()


def save(path: Path, content: bytes) -> None:
    temp = path.with_name(f"{path.name}.saving{os.getpid()}")
    temp.write_bytes(content)
    os.rename(temp, path)


def scan(path: Path, _: bytes) -> None:
    for base, _directories, names in os.walk(path.parent):
        for name in names:
            os.lstat(os.path.join(base, name))
    path.read_bytes()


KINDS = {"overwrite": overwrite, "map": write_by_map, "save": save, "scan": scan}


def main(kind: str, directory: str, number: str, seconds: str) -> None:
    dice = random.Random(f"{kind} {number}")
    ends_s = time.monotonic() + float(seconds)
    times = 0
    while time.monotonic() < ends_s:
        times += 1
        mine = int(number) if kind in ("overwrite", "map") else dice.randrange(FILES)  # in place: one writer a file
        try:
            KINDS[kind](Path(directory) / f"f{mine}", text(f"{kind} {number}", times, dice))
        except (OSError, ValueError):
            continue
        finally:
            time.sleep(dice.random() / 20)


if __name__ == "__main__":
    main(*sys.argv[1:])
