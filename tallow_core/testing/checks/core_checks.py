"""The primitives that the core uses itself and that no driver brings: HKDF and Argon2id, checked as
the core calls them.

`CHECKS` maps their names to checks without arguments.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from tallow_core.errors import AuthenticationError, CryptoError
from tallow_core.passwords import (
    MAX_ITERATIONS,
    MAX_LANES,
    MAX_MEMORY_KIB,
    Parameters,
    derive,
    hash_password,
    verify_password,
)
from tallow_core.protocol.handshake.key_schedule import PROTOCOL, expand, hkdf_expand, hkdf_extract
from tallow_core.testing.expect import refuses, require
from tallow_core.testing.vectors import published

_CHEAP = Parameters(memory_kib=64, iterations=1, lanes=1)


def hkdf_vectors_match() -> None:
    """The test cases of RFC 5869 appendix A with SHA-256, and a long one: PRK and OKM."""
    for vector in published("core", "hkdf")["vectors"]:
        secret, salt, info = (bytes.fromhex(vector[name]) for name in ("secret", "salt", "info"))
        root = hkdf_extract("sha256", salt, secret)
        if "root" in vector:
            require(root.hex() == vector["root"], f"{vector['source']}: another PRK")
        found = hkdf_expand("sha256", root, len(vector["key"]) // 2, info)
        require(found.hex() == vector["key"], f"{vector['source']}: another OKM")


def hkdf_is_what_its_formula_says() -> None:
    """With both hashes of the protocol, against RFC 5869's formulas over HMAC; lengths from 1 to
    255 digests."""
    for kdf in ("sha256", "sha3_256"):
        root = hkdf_extract(kdf, b"salt", b"secret")
        require(root == hmac.new(b"salt", b"secret", kdf).digest(), f"{kdf}: another PRK")
        for length in (1, 31, 32, 33, 64, 255 * 32):
            found = hkdf_expand(kdf, root, length, b"info")
            require(
                found == _formula(kdf, root, length, b"info"),
                f"{kdf}: another OKM of {length} bytes",
            )


def labels_are_apart() -> None:
    """Keys of the schedule are HKDF-Expand of protocol, label and contexts, each with its length:
    no two meanings have one spelling."""
    secret = bytes(range(32))
    info = b"".join(
        len(part).to_bytes(4, "big") + part for part in (PROTOCOL, b"label", b"context")
    )
    require(
        expand("sha256", secret, 32, b"label", b"context") == _formula("sha256", secret, 32, info),
        "another info than specified",
    )
    spellings = [
        text.split()
        for text in (b"label context", b"labelc ontext", b"label con text", b"labelcontext")
    ]
    require(
        len({bytes(expand("sha256", secret, 32, *each)) for each in spellings}) == len(spellings),
        "two labels give one key",
    )


def argon2id_vectors_match() -> None:
    """RFC 9106 section 5.3, with secret and associated data, and the vectors of OpenSSL and of the
    reference program."""
    for vector in published("core", "argon2id")["vectors"]:
        found = _derive(vector)
        require(found.hex() == vector["key"], f"{vector['source']}: another key")


def argon2id_binds_its_inputs() -> None:
    """Password, salt, memory, iterations, lanes, length, secret and associated data all count."""
    good: dict[str, Any] = {
        "password": "70",
        "salt": "73" * 16,
        "memory": 64,
        "iterations": 2,
        "lanes": 2,
        "key": "00" * 32,
    }
    changes: tuple[dict[str, Any], ...] = (
        *(
            {},
            {"password": ""},
            {"password": "7000"},
            {"salt": "73" * 15 + "74"},
            {"memory": 72},
            {"iterations": 3},
            {"lanes": 1},
        ),
        *({"key": "00" * 33}, {"secret": "00"}, {"associated": "00"}),
    )
    found = {bytes(_derive(good | change))[:32] for change in changes}
    require(len(found) == len(changes), "two different inputs give one key")


def stored_passwords_are_found_again() -> None:
    """What was stored with a password is found with it, and not with another one; two strings of
    one password differ."""
    stored, again = (hash_password(b"password", _CHEAP) for _ in range(2))
    require(stored != again, "two stored strings of one password are the same")
    require(
        verify_password(stored, bytearray(b"password")) == _CHEAP,
        "the parameters are not those it was stored with",
    )
    for wrong in (b"", b"Password", b"password\0"):
        refuses(AuthenticationError, partial(verify_password, stored, wrong), "a wrong password")
    flipped = stored[:-1] + ("A" if stored[-1] != "A" else "E")
    refuses(CryptoError, partial(verify_password, flipped, b"password"), "a changed string")


def hostile_strings_are_refused() -> None:
    """A string that is damaged, or asks for more memory, iterations or lanes than allowed, is a
    `CryptoError` before any work."""
    tail = hash_password(b"password", _CHEAP).removeprefix(_CHEAP.encode())
    for memory, iterations, lanes in (
        *((MAX_MEMORY_KIB + 1, 1, 1), (64, MAX_ITERATIONS + 1, 1), (1 << 20, 1, MAX_LANES + 1)),
        *((9999999999, 9999999999, 9999999999), (7, 1, 1), (15, 1, 2)),
    ):
        asked = f"$argon2id$v=19$m={memory},t={iterations},p={lanes}{tail}"
        refuses(
            CryptoError,
            partial(verify_password, asked, b"password"),
            f"{memory} KiB, {iterations} iterations, {lanes} lanes",
        )
    for text in (
        "",
        "$",
        tail,
        _CHEAP.encode(),
        _CHEAP.encode() + "$$",
        (_CHEAP.encode() + tail).replace("id$", "i$"),
    ):
        refuses(CryptoError, partial(verify_password, text, b"password"), f"the string {text!r}")


def parameters_are_raised_and_never_lowered() -> None:
    """Stored with less than is wanted means to be stored anew, with the greater of both in memory
    and iterations."""
    wanted = Parameters()
    require(
        (wanted.memory_kib, wanted.iterations, wanted.lanes) == (256 << 10, 3, 4),
        "the default is not 256 MiB, 3 iterations, 4 lanes",
    )
    raised = {
        (64, 3): wanted,
        (256, 1): wanted,
        (512, 3): None,
        (256, 3): None,
        (512, 1): Parameters(512 << 10),
    }
    for (memory, iterations), expected in raised.items():
        stored = Parameters(memory << 10, iterations)
        require(
            Parameters.decode(stored.encode()) == stored,
            "parameters are not read as they were written",
        )
        require(
            stored.needs_raise(wanted) == (expected is not None),
            f"{stored.encode()} is to be raised, or not",
        )
        require(
            stored.raised(wanted) == (expected or stored),
            f"{stored.encode()} is raised to something else",
        )


def _formula(kdf: str, secret: bytes | bytearray, length: int, info: bytes) -> bytes:
    """T(i) = HMAC(PRK, T(i-1) || info || i) of RFC 5869 section 2.3."""
    block, out = b"", b""
    for index in range(1, -(-length // hashlib.new(kdf).digest_size) + 1):
        block = hmac.new(secret, block + info + bytes([index]), kdf).digest()
        out += block
    return out[:length]


def _derive(vector: Mapping[str, Any]) -> bytearray:
    password, salt, secret, associated = (
        bytes.fromhex(vector.get(name, "")) for name in ("password", "salt", "secret", "associated")
    )
    parameters = Parameters(vector["memory"], vector["iterations"], vector["lanes"])
    return derive(
        password, parameters, salt, len(vector["key"]) // 2, secret=secret, associated=associated
    )


Check: TypeAlias = Callable[[], None]

CHECKS: Mapping[str, tuple[Check, ...]] = {
    "hkdf": (hkdf_vectors_match, hkdf_is_what_its_formula_says, labels_are_apart),
    "argon2id": (
        argon2id_vectors_match,
        argon2id_binds_its_inputs,
        stored_passwords_are_found_again,
        hostile_strings_are_refused,
        parameters_are_raised_and_never_lowered,
    ),
}
