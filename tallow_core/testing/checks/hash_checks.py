"""What every hash must do: see `tallow_core.spi.hash`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeAlias, get_args

from tallow_core.secrets import system_rng
from tallow_core.spi.hash import Hash, Kdf
from tallow_core.testing.checks.driver_checks import descriptor_is_complete, within_bounds
from tallow_core.testing.expect import require
from tallow_core.testing.vectors import published
from tallow_core.types import ReadBuffer

CONTEXT = "conformance"
LENGTHS = (0, 1, 63, 64, 65, 1023, 1024, 1025, 1 << 16, 1 << 20)
"""Input lengths around the blocks and chunks of the usual hashes."""


def sizes_are_sensible(driver: type[Hash]) -> None:
    """The digest has 32 bytes, `kdf` is sha256 or sha3_256, `digest_ends` is a bool."""
    within_bounds(Hash, driver)
    require(driver.kdf in get_args(Kdf), f"kdf is {driver.kdf!r}, not one of {get_args(Kdf)}")
    require(
        isinstance(driver.digest_ends, bool),
        f"digest_ends is {driver.digest_ends!r}, not True or False",
    )


def published_vectors_match(driver: type[Hash]) -> None:
    """The published inputs give the published digests, of the hash and of the function that `kdf`
    names."""
    vectors = published("hash", driver.name)
    for entry in vectors.get("kdf", ()):
        digest = hashlib.new(driver.kdf, bytes.fromhex(entry["message"])).hexdigest()
        require(
            digest == entry["digest"], f"{driver.kdf} gives another digest for {entry['source']}"
        )
    for entry in vectors.get("digests", ()):
        data = bytes(index % 251 for index in range(entry["length"]))
        context = entry.get("context", vectors.get("context"))
        require(
            _digest(driver, context, data).hex() == entry["digest"],
            f"another digest of {entry['length']} bytes",
        )


def pieces_do_not_matter(driver: type[Hash]) -> None:
    """Data in one piece or in many, as bytes, bytearray or memoryview, gives the same digest of the
    stated size."""
    for length in LENGTHS:
        data = system_rng(length)
        whole = _digest(driver, CONTEXT, data)
        require(len(whole) == driver.digest_size, f"a digest has {len(whole)} bytes")
        third = length // 3
        pieces = (
            data[:third],
            bytearray(data[third : 2 * third]),
            b"",
            memoryview(data)[2 * third :],
        )
        require(
            _digest(driver, CONTEXT, *pieces) == whole,
            f"{length} bytes in pieces give another digest",
        )


def contexts_are_apart(driver: type[Hash]) -> None:
    """The same data under another context, or with a context's text moved into the data, gives
    another digest."""
    data = b"the same data"
    digests = {
        _digest(driver, context, data) for context in ("", "a", "ab", CONTEXT, CONTEXT + " ")
    }
    require(len(digests) == 5, "two contexts give the same digest")
    require(_digest(driver, "a", b"b") != _digest(driver, "ab"), "a context runs into the data")


def every_bit_counts(driver: type[Hash]) -> None:
    """A flipped bit, a byte more and a byte less give another digest."""
    data = system_rng(65)
    others = [data[:-1], data + b"\0", b"\0" + data]
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        others.append(bytes(changed))
    require(
        _digest(driver, CONTEXT, data) not in {_digest(driver, CONTEXT, other) for other in others},
        "changed data goes unnoticed",
    )


def hashers_are_independent(driver: type[Hash]) -> None:
    """Two hashers that run at the same time do not affect each other."""
    one, other = driver.hasher(CONTEXT), driver.hasher(CONTEXT)
    one.update(b"first ")
    other.update(b"something else")
    one.update(b"second")
    require(
        one.digest() == _digest(driver, CONTEXT, b"first second"),
        "another hasher changes the digest",
    )


def a_digest_does_not_end_the_hash(driver: type[Hash]) -> None:
    """`digest` may be called twice and in the middle, unless the driver sets `digest_ends`."""
    if driver.digest_ends:
        return
    one = driver.hasher(CONTEXT)
    one.update(b"first ")
    require(
        one.digest() == one.digest() == _digest(driver, CONTEXT, b"first "),
        "asking for the digest changes it",
    )
    one.update(b"second")
    require(
        one.digest() == _digest(driver, CONTEXT, b"first second"),
        "asking for the digest disturbs what follows",
    )


def _digest(driver: type[Hash], context: str, *pieces: ReadBuffer) -> bytes:
    hasher = driver.hasher(context)
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()


Check: TypeAlias = Callable[[type[Hash]], None]

CHECKS: tuple[Check, ...] = (
    descriptor_is_complete,
    sizes_are_sensible,
    published_vectors_match,
    pieces_do_not_matter,
    contexts_are_apart,
    every_bit_counts,
    hashers_are_independent,
    a_digest_does_not_end_the_hash,
)
