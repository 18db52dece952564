"""Digests of contents, and which of them may be compared."""

import hashlib
import random

import pytest
from blake3 import blake3

from onitufs.model.digests import (
    ALGORITHMS,
    BLAKE3,
    DROPBOX,
    DropboxHasher,
    algorithm_of,
    comparable,
    digest_of,
    hasher_of,
    shown,
    tagged,
)

MIB4 = 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"hello", "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"),
        (bytes(1), "1406e05881e299367766d313e26c05564ec91bf721d31726bd6e46e60689539a"),
        (bytes(MIB4 - 1), "839e2d868a885f260431d186466f0f3c189ee0eee5cc444b54e717740ad7f1c3"),
        (bytes(MIB4), "c7e946d101855255d919ef0c70718633adf77d3dfb3adeeecf5d0cb4e951be58"),
        (bytes(MIB4 + 1), "14a4d47f23a30177885d9820122f17d2d3a55fe63f7f5c27b95f689e0b2accd6"),
        (bytes(2 * MIB4), "03ae066c707c588592d9e27aa2444ca98423e0999024f1ceaa11a153790b37de"),
        (
            (bytes(range(251)) * 40_000)[:10_000_000],
            "adcedd7b0933aef0bdf54a73c43b77526b6ff90b1a303d2cd235f44161b65177",
        ),
    ],
)
def test_dropboxs_digest_is_the_one_that_dropbox_computes(data: bytes, digest: str) -> None:
    assert shown(digest_of(lambda offset, length: data[offset : offset + length], DROPBOX)) == f"dropbox:{digest}"
    hasher, chance, offset = DropboxHasher(), random.Random(1), 0
    while offset < len(data):
        length = chance.randrange(1, 3_000_000)
        hasher.update(data[offset : offset + length])
        hasher.digest()  # asking changes nothing
        offset += length
    assert hasher.digest().hex() == digest


def test_ours_is_plain_and_the_others_carry_their_names() -> None:
    made = {algorithm: digest_of(lambda offset, _: b"x"[offset:], algorithm) for algorithm in ALGORITHMS}
    assert made[BLAKE3] == blake3(b"x").digest()
    assert made["sha256"] == b"sha256:" + hashlib.sha256(b"x").digest()
    for algorithm, digest in made.items():
        assert algorithm_of(digest) == algorithm
        assert tagged(algorithm, hasher_of(algorithm).digest()) != digest
        for other, another in made.items():
            assert comparable(digest, another) == (algorithm == other)
        assert not comparable(digest, b"")
        assert tagged(algorithm, b"") == b""


def test_a_plain_digest_that_looks_like_a_name_is_plain() -> None:
    assert algorithm_of(b"dropbox:" + bytes(24)) == BLAKE3
    assert algorithm_of(b"") == BLAKE3
