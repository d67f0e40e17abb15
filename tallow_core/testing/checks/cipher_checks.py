"""The checks of every cipher: see `tallow_core.spi.cipher`. Those of refused inputs are in
`cipher_refusal_checks`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from tallow_core.errors import CryptoError, ForgedRecord
from tallow_core.secrets import system_rng
from tallow_core.spi.cipher import Cipher
from tallow_core.testing.checks.cipher_refusal_checks import (
    a_wiped_cipher_is_of_no_use,
    bad_outputs_are_refused,
    every_flipped_bit_is_refused,
    long_forgeries_are_wiped,
    nothing_is_sealed_past_the_limits,
    truncation_is_refused,
    wrong_lengths_are_refused,
)
from tallow_core.testing.checks.cipher_tools import (
    AAD,
    FILL,
    SPARE,
    flipped,
    open_record,
    seal,
    written,
)
from tallow_core.testing.checks.driver_checks import (
    descriptor_is_complete,
    positive,
    within_bounds,
)
from tallow_core.testing.expect import ConformanceError, refuses, require
from tallow_core.testing.vectors import published
from tallow_core.types import ReadBuffer

LENGTHS = (0, 1, 15, 16, 17, 1 << 16, 1 << 20)
"""Plaintext lengths of the round trips: around a block, a TLS record's worth, a full data
record."""


def sizes_are_sensible(driver: type[Cipher]) -> None:
    """The key has 16 to 1,024 bytes, the tag 16 to 42, the nonce 8 to 255 (a 64-bit counter). The
    limits let a session work."""
    within_bounds(Cipher, driver)
    positive(driver, "max_records", "max_bytes")
    require(
        driver.max_records >= 1 << 16 and driver.max_bytes >= 1 << 30,
        "the limits are too small to be of use",
    )


def published_vectors_match(driver: type[Cipher]) -> None:
    """Records of the published vectors are sealed to the published bytes, opened to the published
    plaintext, or refused."""
    for record in published("cipher", driver.name).get("records", ()):
        key, nonce, aad, sealed = (
            bytes.fromhex(record[field]) for field in ("key", "nonce", "aad", "sealed")
        )
        cipher, source = driver(key), record["source"]
        if "plaintext" not in record:
            refuses(
                ForgedRecord,
                partial(open_record, cipher, nonce, aad, sealed),
                f"the forged record of {source}",
            )
            continue
        plaintext = bytes.fromhex(record["plaintext"])
        require(seal(cipher, nonce, aad, plaintext) == sealed, f"{source} is sealed to other bytes")
        require(
            open_record(cipher, nonce, aad, sealed) == plaintext,
            f"{source} opens to another plaintext",
        )


def records_survive_the_round_trip(driver: type[Cipher]) -> None:
    """Records of every length come back, the returned lengths are right, and bytes of `out` beyond
    them are untouched."""
    for length in LENGTHS:
        cipher, nonce, plaintext = (
            driver(system_rng(driver.key_size)),
            system_rng(driver.nonce_size),
            system_rng(length),
        )
        sealed = seal(cipher, nonce, AAD, plaintext)
        require(
            len(sealed) == length + driver.tag_size, f"{length} bytes are sealed to {len(sealed)}"
        )
        require(length < 16 or plaintext not in sealed, "the plaintext is readable in the record")
        require(
            open_record(cipher, nonce, AAD, sealed) == plaintext,
            f"a record of {length} bytes came back changed",
        )


def records_are_sealed_in_place(driver: type[Cipher]) -> None:
    """`out` may start where the input starts, for sealing and opening, with the same result as
    apart."""
    for length in LENGTHS:
        cipher, nonce, plaintext = (
            driver(system_rng(driver.key_size)),
            system_rng(driver.nonce_size),
            system_rng(length),
        )
        buffer = bytearray(plaintext) + bytearray(driver.tag_size)
        view = memoryview(buffer)
        require(
            cipher.seal_into(nonce, AAD, view[:length], view) == len(buffer),
            "sealing in place returned another length",
        )
        require(
            bytes(buffer) == seal(cipher, nonce, AAD, plaintext),
            "sealing in place gives other bytes",
        )
        require(
            cipher.open_into(nonce, AAD, view, view[:length]) == length,
            "opening in place returned another length",
        )
        require(bytes(view[:length]) == plaintext, "opening in place gives other bytes")


def every_buffer_type_is_taken(driver: type[Cipher]) -> None:
    """bytes, bytearray and memoryview are all accepted, for the key too."""
    for wrap in (bytes, bytearray, memoryview):
        cipher: Cipher = driver(wrap(bytes(driver.key_size)))
        nonce, aad, plaintext = (
            wrap(bytes(driver.nonce_size)),
            wrap(AAD),
            wrap(b"seventeen bytes.."),
        )
        sealed = seal(cipher, nonce, aad, plaintext)
        require(
            open_record(cipher, nonce, aad, wrap(sealed)) == bytes(plaintext),
            f"a record given as {wrap.__name__} came back changed",
        )


def inputs_are_only_read(driver: type[Cipher]) -> None:
    """Read-only inputs are taken, and writable ones are the same afterwards."""
    text = b"seventeen bytes.."
    plain = (bytes(driver.key_size), bytes(driver.nonce_size), AAD, text)
    key, nonce, aad, plaintext = (memoryview(part).toreadonly() for part in plain)
    cipher = driver(key)
    sealed = seal(cipher, nonce, aad, plaintext)
    require(
        open_record(cipher, nonce, aad, memoryview(sealed).toreadonly()) == text,
        "a read-only record came back changed",
    )
    writable = [bytearray(part) for part in (*plain, sealed)]
    cipher = driver(writable[0])
    seal(cipher, writable[1], writable[2], writable[3])
    open_record(cipher, writable[1], writable[2], writable[4])
    require([bytes(part) for part in writable] == [*plain, sealed], "an input was written to")


def gaps_are_refused_or_read(driver: type[Cipher]) -> None:
    """A key, nonce, associated data or text given as every other byte of a buffer: a `CryptoError`
    that writes nothing, or the right result; sealing and opening do the same."""
    key, nonce, text = (
        system_rng(driver.key_size),
        system_rng(driver.nonce_size),
        b"seventeen bytes..",
    )
    sealed = seal(driver(key), nonce, AAD, text)
    with suppress(CryptoError):
        require(
            seal(driver(_spread(key)), nonce, AAD, text) == sealed,
            "a key with gaps is taken for another key",
        )
    cipher = driver(key)
    inputs: dict[str, tuple[ReadBuffer, ReadBuffer, ReadBuffer, ReadBuffer]] = {
        "a nonce": (_spread(nonce), AAD, text, sealed),
        "associated data": (nonce, _spread(AAD), text, sealed),
        "a text": (nonce, AAD, _spread(text), _spread(sealed)),
    }
    for what, (a_nonce, an_aad, a_text, a_record) in inputs.items():
        made = _result(partial(cipher.seal_into, a_nonce, an_aad, a_text), len(sealed))
        read = _result(partial(cipher.open_into, a_nonce, an_aad, a_record), len(text))
        require(made in (None, sealed), f"{what} with gaps is sealed to other bytes")
        require(read in (None, text), f"{what} with gaps opens to another plaintext")
        require(
            (made is None) == (read is None),
            f"{what} with gaps is taken by one of sealing and opening only",
        )


def _spread(data: bytes) -> memoryview:
    """`data` as every other byte of a buffer."""
    backing = bytearray(2 * len(data))
    backing[::2] = data
    return memoryview(backing)[::2]


def _result(action: Callable[[bytearray], int], expected: int) -> bytes | None:
    """What `action` wrote, or None if it refused its input with a `CryptoError`."""
    out = bytearray([FILL]) * (expected + SPARE)
    try:
        return written(out, action(out), expected)
    except ForgedRecord as error:
        raise ConformanceError("a record that was not changed is taken for a forgery") from error
    except CryptoError:
        require(set(out) == {FILL}, "a refused input has written to the output")
        return None


def every_input_is_bound(driver: type[Cipher]) -> None:
    """Another key, nonce or associated data gives another record, and does not open this one."""
    key, nonce, plaintext = (
        system_rng(driver.key_size),
        system_rng(driver.nonce_size),
        b"seventeen bytes..",
    )
    sealed = seal(driver(key), nonce, AAD, plaintext)
    others: dict[str, tuple[bytes, bytes, bytes]] = {
        "another key": (system_rng(driver.key_size), nonce, AAD),
        "another nonce": (key, system_rng(driver.nonce_size), AAD),
        "no associated data": (key, nonce, b""),
        "longer associated data": (key, nonce, AAD + b"\0"),
        "associated data that begins the record": (key, nonce, AAD + sealed[:1]),
    }
    for what, (other_key, other_nonce, other_aad) in others.items():
        cipher = driver(other_key)
        require(
            seal(cipher, other_nonce, other_aad, plaintext) != sealed,
            f"{what} gives the same record",
        )
        refuses(
            ForgedRecord,
            partial(open_record, cipher, other_nonce, other_aad, sealed),
            f"a record under {what}",
        )


def every_bit_of_the_key_counts(driver: type[Cipher]) -> None:
    """A key with any one bit flipped gives another record."""
    key, nonce, plaintext = (
        system_rng(driver.key_size),
        bytes(driver.nonce_size),
        b"seventeen bytes..",
    )
    sealed = seal(driver(key), nonce, AAD, plaintext)
    for changed in flipped(key):
        require(
            seal(driver(changed), nonce, AAD, plaintext) != sealed,
            "a flipped bit of the key changes nothing",
        )


Check: TypeAlias = Callable[[type[Cipher]], None]


CHECKS: tuple[Check, ...] = (
    descriptor_is_complete,
    sizes_are_sensible,
    published_vectors_match,
    records_survive_the_round_trip,
    records_are_sealed_in_place,
    every_buffer_type_is_taken,
    inputs_are_only_read,
    every_input_is_bound,
    every_bit_of_the_key_counts,
    every_flipped_bit_is_refused,
    truncation_is_refused,
    long_forgeries_are_wiped,
    wrong_lengths_are_refused,
    bad_outputs_are_refused,
    nothing_is_sealed_past_the_limits,
    gaps_are_refused_or_read,
    a_wiped_cipher_is_of_no_use,
)
