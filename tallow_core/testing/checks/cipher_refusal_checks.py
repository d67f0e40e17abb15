"""The inputs that every cipher must refuse: see `tallow_core.spi.cipher`."""

from __future__ import annotations

from functools import partial

from tallow_core.errors import CryptoError
from tallow_core.secrets import system_rng
from tallow_core.spi.cipher import Cipher
from tallow_core.testing.checks.cipher_tools import (
    AAD,
    FILL,
    SPARE,
    around,
    flipped,
    open_record,
    refuses_cleanly,
    seal,
)
from tallow_core.testing.expect import refuses, require


def every_flipped_bit_is_refused(driver: type[Cipher]) -> None:
    """T-23: each single bit of a record, its nonce and its associated data; nothing unverified is
    left in `out`, in place or apart."""
    cipher, nonce = driver(system_rng(driver.key_size)), system_rng(driver.nonce_size)
    sealed = seal(cipher, nonce, AAD, b"seventeen bytes..")
    for changed in flipped(sealed):
        refuses_cleanly(cipher, nonce, AAD, changed, "a record with a flipped bit")
    for changed in flipped(nonce):
        refuses_cleanly(cipher, changed, AAD, sealed, "a record under a nonce with a flipped bit")
    for changed in flipped(AAD):
        refuses_cleanly(
            cipher, nonce, changed, sealed, "a record under associated data with a flipped bit"
        )


def truncation_is_refused(driver: type[Cipher]) -> None:
    """T-23: every beginning of a record, the empty one included, a record with a byte more, and one
    without its first byte."""
    cipher, nonce = driver(system_rng(driver.key_size)), system_rng(driver.nonce_size)
    sealed = seal(cipher, nonce, AAD, b"seventeen bytes..")
    for length in range(len(sealed)):
        refuses_cleanly(
            cipher, nonce, AAD, sealed[:length], f"{length} of {len(sealed)} bytes of a record"
        )
    refuses_cleanly(cipher, nonce, AAD, sealed + b"\0", "a record with a byte more")
    refuses_cleanly(cipher, nonce, AAD, sealed[1:], "a record without its first byte")


def long_forgeries_are_wiped(driver: type[Cipher]) -> None:
    """A full data record with its last bit flipped leaves zeros, not a megabyte of unverified
    plaintext."""
    cipher, nonce = driver(system_rng(driver.key_size)), system_rng(driver.nonce_size)
    changed = bytearray(seal(cipher, nonce, AAD, b"\x5a" * (1 << 20)))
    changed[-1] ^= 1
    refuses_cleanly(cipher, nonce, AAD, bytes(changed), "a long record with a flipped bit")


def wrong_lengths_are_refused(driver: type[Cipher]) -> None:
    """A key or nonce that is empty, a byte short, a byte long or twice as long is a `CryptoError`,
    and nothing is written."""
    for length in around(driver.key_size):
        refuses(CryptoError, partial(driver, bytes(length)), f"a key of {length} bytes")
    cipher = driver(system_rng(driver.key_size))
    sealed = seal(cipher, bytes(driver.nonce_size), AAD, b"seventeen bytes..")
    for length in around(driver.nonce_size):
        out = bytearray([FILL]) * (len(sealed) + SPARE)
        refuses(
            CryptoError,
            partial(cipher.seal_into, bytes(length), AAD, b"text", out),
            f"sealing with a nonce of {length} bytes",
        )
        refuses(
            CryptoError,
            partial(cipher.open_into, bytes(length), AAD, sealed, out),
            f"opening with a nonce of {length} bytes",
        )
        require(set(out) == {FILL}, "a refused nonce has written to the output")


def bad_outputs_are_refused(driver: type[Cipher]) -> None:
    """An output that is short, read-only or has gaps is a `CryptoError`, and nothing is written."""
    cipher, nonce, plaintext = (
        driver(system_rng(driver.key_size)),
        bytes(driver.nonce_size),
        b"seventeen bytes..",
    )
    sealed = seal(cipher, nonce, AAD, plaintext)
    sealing, opening = (
        partial(cipher.seal_into, nonce, AAD, plaintext),
        partial(cipher.open_into, nonce, AAD, sealed),
    )
    for verb, action, needed in (
        ("sealing", sealing, len(sealed)),
        ("opening", opening, len(plaintext)),
    ):
        backing = bytearray([FILL]) * (4 * needed)
        whole = memoryview(backing)
        for what, out in (
            ("a short", whole[: needed - 1]),
            ("an empty", whole[:0]),
            ("a read-only", whole.toreadonly()),
            ("a non-contiguous", whole[::2]),
        ):
            refuses(CryptoError, partial(action, out), f"{verb} into {what} output")
        require(set(backing) == {FILL}, f"{verb} into a refused output has written to it")


def nothing_is_sealed_past_the_limits(driver: type[Cipher]) -> None:
    """An object seals exactly `max_records` records and `max_bytes` bytes; what is more is a
    `CryptoError`, and nothing is written.

    Tried with subclasses that lower the limits. Opening goes on, and a further object has its own
    allowance.
    """
    for limits, sizes, excess in (
        ({"max_records": 3}, (0, 17, 1), 0),
        ({"max_bytes": 48}, (31, 17), 1),
        ({"max_bytes": 48}, (), 49),
    ):
        limited: type[Cipher] = type(driver.__name__, (driver,), dict(limits))
        key, what = (
            system_rng(driver.key_size),
            " ".join(f"{name} = {value}" for name, value in limits.items()),
        )
        for _ in range(2):
            _seals_no_more(limited(key), sizes, bytes(excess), what)


def _seals_no_more(cipher: Cipher, sizes: tuple[int, ...], excess: bytes, limits: str) -> None:
    nonces = [counter.to_bytes(cipher.nonce_size, "big") for counter in range(len(sizes) + 1)]
    records = [
        seal(cipher, nonce, AAD, bytes(size)) for nonce, size in zip(nonces, sizes, strict=False)
    ]
    out = bytearray([FILL]) * (len(excess) + cipher.tag_size)
    for nonce in (nonces[-1], nonces[0]):
        refuses(
            CryptoError,
            partial(cipher.seal_into, nonce, AAD, excess, out),
            f"a record beyond {limits}",
        )
    require(set(out) == {FILL}, f"a record refused beyond {limits} has written to the output")
    for nonce, size, sealed in zip(nonces, sizes, records, strict=False):
        require(
            open_record(cipher, nonce, AAD, sealed) == bytes(size),
            f"after {limits}, a record does not open",
        )


def a_wiped_cipher_is_of_no_use(driver: type[Cipher]) -> None:
    """After `wipe`, sealing and opening are a `CryptoError`; wiping twice is harmless."""
    cipher, nonce = driver(system_rng(driver.key_size)), bytes(driver.nonce_size)
    sealed = seal(cipher, nonce, AAD, b"text")
    cipher.wipe()
    cipher.wipe()
    refuses(CryptoError, partial(seal, cipher, nonce, AAD, b"text"), "sealing after wipe")
    refuses(CryptoError, partial(open_record, cipher, nonce, AAD, sealed), "opening after wipe")
