"""What every cipher must do: see `tallow_core.spi.cipher`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from tallow_core.errors import CryptoError, ForgedRecord
from tallow_core.secrets import system_rng
from tallow_core.spi.cipher import Cipher
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
AAD = b"lane 7, direction 1, epoch 0, counter 42"
_SPARE = 32
_FILL = 0xA5


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
                partial(_open, cipher, nonce, aad, sealed),
                f"the forged record of {source}",
            )
            continue
        plaintext = bytes.fromhex(record["plaintext"])
        require(
            _seal(cipher, nonce, aad, plaintext) == sealed, f"{source} is sealed to other bytes"
        )
        require(
            _open(cipher, nonce, aad, sealed) == plaintext, f"{source} opens to another plaintext"
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
        sealed = _seal(cipher, nonce, AAD, plaintext)
        require(
            len(sealed) == length + driver.tag_size, f"{length} bytes are sealed to {len(sealed)}"
        )
        require(length < 16 or plaintext not in sealed, "the plaintext is readable in the record")
        require(
            _open(cipher, nonce, AAD, sealed) == plaintext,
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
            bytes(buffer) == _seal(cipher, nonce, AAD, plaintext),
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
        sealed = _seal(cipher, nonce, aad, plaintext)
        require(
            _open(cipher, nonce, aad, wrap(sealed)) == bytes(plaintext),
            f"a record given as {wrap.__name__} came back changed",
        )


def inputs_are_only_read(driver: type[Cipher]) -> None:
    """Read-only inputs are taken, and writable ones are the same afterwards."""
    text = b"seventeen bytes.."
    plain = (bytes(driver.key_size), bytes(driver.nonce_size), AAD, text)
    key, nonce, aad, plaintext = (memoryview(part).toreadonly() for part in plain)
    cipher = driver(key)
    sealed = _seal(cipher, nonce, aad, plaintext)
    require(
        _open(cipher, nonce, aad, memoryview(sealed).toreadonly()) == text,
        "a read-only record came back changed",
    )
    writable = [bytearray(part) for part in (*plain, sealed)]
    cipher = driver(writable[0])
    _seal(cipher, writable[1], writable[2], writable[3])
    _open(cipher, writable[1], writable[2], writable[4])
    require([bytes(part) for part in writable] == [*plain, sealed], "an input was written to")


def gaps_are_refused_or_read(driver: type[Cipher]) -> None:
    """A key, nonce, associated data or text given as every other byte of a buffer: a `CryptoError`
    that writes nothing, or the right result; sealing and opening do the same."""
    key, nonce, text = (
        system_rng(driver.key_size),
        system_rng(driver.nonce_size),
        b"seventeen bytes..",
    )
    sealed = _seal(driver(key), nonce, AAD, text)
    with suppress(CryptoError):
        require(
            _seal(driver(_spread(key)), nonce, AAD, text) == sealed,
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
    out = bytearray([_FILL]) * (expected + _SPARE)
    try:
        return _written(out, action(out), expected)
    except ForgedRecord as error:
        raise ConformanceError("a record that was not changed is taken for a forgery") from error
    except CryptoError:
        require(set(out) == {_FILL}, "a refused input has written to the output")
        return None


def every_input_is_bound(driver: type[Cipher]) -> None:
    """Another key, nonce or associated data gives another record, and does not open this one."""
    key, nonce, plaintext = (
        system_rng(driver.key_size),
        system_rng(driver.nonce_size),
        b"seventeen bytes..",
    )
    sealed = _seal(driver(key), nonce, AAD, plaintext)
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
            _seal(cipher, other_nonce, other_aad, plaintext) != sealed,
            f"{what} gives the same record",
        )
        refuses(
            ForgedRecord,
            partial(_open, cipher, other_nonce, other_aad, sealed),
            f"a record under {what}",
        )


def every_bit_of_the_key_counts(driver: type[Cipher]) -> None:
    """A key with any one bit flipped gives another record."""
    key, nonce, plaintext = (
        system_rng(driver.key_size),
        bytes(driver.nonce_size),
        b"seventeen bytes..",
    )
    sealed = _seal(driver(key), nonce, AAD, plaintext)
    for changed in _flipped(key):
        require(
            _seal(driver(changed), nonce, AAD, plaintext) != sealed,
            "a flipped bit of the key changes nothing",
        )


def every_flipped_bit_is_refused(driver: type[Cipher]) -> None:
    """T-23: each single bit of a record, its nonce and its associated data; nothing unverified is
    left in `out`, in place or apart."""
    cipher, nonce = driver(system_rng(driver.key_size)), system_rng(driver.nonce_size)
    sealed = _seal(cipher, nonce, AAD, b"seventeen bytes..")
    for changed in _flipped(sealed):
        _refuses_cleanly(cipher, nonce, AAD, changed, "a record with a flipped bit")
    for changed in _flipped(nonce):
        _refuses_cleanly(cipher, changed, AAD, sealed, "a record under a nonce with a flipped bit")
    for changed in _flipped(AAD):
        _refuses_cleanly(
            cipher, nonce, changed, sealed, "a record under associated data with a flipped bit"
        )


def truncation_is_refused(driver: type[Cipher]) -> None:
    """T-23: every beginning of a record, the empty one included, a record with a byte more, and one
    without its first byte."""
    cipher, nonce = driver(system_rng(driver.key_size)), system_rng(driver.nonce_size)
    sealed = _seal(cipher, nonce, AAD, b"seventeen bytes..")
    for length in range(len(sealed)):
        _refuses_cleanly(
            cipher, nonce, AAD, sealed[:length], f"{length} of {len(sealed)} bytes of a record"
        )
    _refuses_cleanly(cipher, nonce, AAD, sealed + b"\0", "a record with a byte more")
    _refuses_cleanly(cipher, nonce, AAD, sealed[1:], "a record without its first byte")


def long_forgeries_are_wiped(driver: type[Cipher]) -> None:
    """A full data record with its last bit flipped leaves zeros, not a megabyte of unverified
    plaintext."""
    cipher, nonce = driver(system_rng(driver.key_size)), system_rng(driver.nonce_size)
    changed = bytearray(_seal(cipher, nonce, AAD, b"\x5a" * (1 << 20)))
    changed[-1] ^= 1
    _refuses_cleanly(cipher, nonce, AAD, bytes(changed), "a long record with a flipped bit")


def wrong_lengths_are_refused(driver: type[Cipher]) -> None:
    """A key or nonce that is empty, a byte short, a byte long or twice as long is a `CryptoError`,
    and nothing is written."""
    for length in _around(driver.key_size):
        refuses(CryptoError, partial(driver, bytes(length)), f"a key of {length} bytes")
    cipher = driver(system_rng(driver.key_size))
    sealed = _seal(cipher, bytes(driver.nonce_size), AAD, b"seventeen bytes..")
    for length in _around(driver.nonce_size):
        out = bytearray([_FILL]) * (len(sealed) + _SPARE)
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
        require(set(out) == {_FILL}, "a refused nonce has written to the output")


def bad_outputs_are_refused(driver: type[Cipher]) -> None:
    """An output that is short, read-only or has gaps is a `CryptoError`, and nothing is written."""
    cipher, nonce, plaintext = (
        driver(system_rng(driver.key_size)),
        bytes(driver.nonce_size),
        b"seventeen bytes..",
    )
    sealed = _seal(cipher, nonce, AAD, plaintext)
    seal, open_ = (
        partial(cipher.seal_into, nonce, AAD, plaintext),
        partial(cipher.open_into, nonce, AAD, sealed),
    )
    for verb, action, needed in (
        ("sealing", seal, len(sealed)),
        ("opening", open_, len(plaintext)),
    ):
        backing = bytearray([_FILL]) * (4 * needed)
        whole = memoryview(backing)
        for what, out in (
            ("a short", whole[: needed - 1]),
            ("an empty", whole[:0]),
            ("a read-only", whole.toreadonly()),
            ("a non-contiguous", whole[::2]),
        ):
            refuses(CryptoError, partial(action, out), f"{verb} into {what} output")
        require(set(backing) == {_FILL}, f"{verb} into a refused output has written to it")


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
        _seal(cipher, nonce, AAD, bytes(size)) for nonce, size in zip(nonces, sizes, strict=False)
    ]
    out = bytearray([_FILL]) * (len(excess) + cipher.tag_size)
    for nonce in (nonces[-1], nonces[0]):
        refuses(
            CryptoError,
            partial(cipher.seal_into, nonce, AAD, excess, out),
            f"a record beyond {limits}",
        )
    require(set(out) == {_FILL}, f"a record refused beyond {limits} has written to the output")
    for nonce, size, sealed in zip(nonces, sizes, records, strict=False):
        require(
            _open(cipher, nonce, AAD, sealed) == bytes(size),
            f"after {limits}, a record does not open",
        )


def a_wiped_cipher_is_of_no_use(driver: type[Cipher]) -> None:
    """After `wipe`, sealing and opening are a `CryptoError`; wiping twice is harmless."""
    cipher, nonce = driver(system_rng(driver.key_size)), bytes(driver.nonce_size)
    sealed = _seal(cipher, nonce, AAD, b"text")
    cipher.wipe()
    cipher.wipe()
    refuses(CryptoError, partial(_seal, cipher, nonce, AAD, b"text"), "sealing after wipe")
    refuses(CryptoError, partial(_open, cipher, nonce, AAD, sealed), "opening after wipe")


def _seal(cipher: Cipher, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer) -> bytes:
    out = bytearray([_FILL]) * (len(plaintext) + cipher.tag_size + _SPARE)
    return _written(
        out, cipher.seal_into(nonce, aad, plaintext, out), len(plaintext) + cipher.tag_size
    )


def _open(cipher: Cipher, nonce: ReadBuffer, aad: ReadBuffer, sealed: ReadBuffer) -> bytes:
    expected = max(len(sealed) - cipher.tag_size, 0)
    out = bytearray([_FILL]) * (expected + _SPARE)
    return _written(out, cipher.open_into(nonce, aad, sealed, out), expected)


def _written(out: bytearray, returned: int, expected: int) -> bytes:
    require(returned == expected, f"the returned length is {returned}, not {expected}")
    require(set(out[expected:]) == {_FILL}, "bytes beyond the result were overwritten")
    return bytes(out[:expected])


def _refuses_cleanly(cipher: Cipher, nonce: bytes, aad: bytes, sealed: bytes, what: str) -> None:
    length = max(len(sealed) - cipher.tag_size, 0)
    apart = bytearray([_FILL]) * (length + _SPARE)
    refuses(ForgedRecord, partial(cipher.open_into, nonce, aad, sealed, apart), what)
    in_place = bytearray(sealed)
    refuses(
        ForgedRecord,
        partial(cipher.open_into, nonce, aad, in_place, memoryview(in_place)[:length]),
        f"in place, {what}",
    )
    for out in (apart, in_place):
        require(not any(out[:length]), f"after {what}, unverified plaintext is left in the output")
    require(
        set(apart[length:]) == {_FILL}, f"after {what}, bytes beyond the result were overwritten"
    )


def _flipped(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def _around(size: int) -> tuple[int, ...]:
    return (0, size - 1, size + 1, 2 * size)


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
