"""What every signature scheme must do: see `tallow_core.spi.signature`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

from tallow_core.errors import BadSignature, CryptoError
from tallow_core.secrets import system_rng, wipe
from tallow_core.spi.signature import Signature, SigningPair
from tallow_core.testing.checks.driver_checks import descriptor_is_complete, within_bounds
from tallow_core.testing.checks.samples import of_wrong_length, one_bit_flipped
from tallow_core.testing.expect import refuses, require
from tallow_core.testing.vectors import assembled, published

LENGTHS = (0, 1, 32, 127, 129, 1 << 12, 1 << 20)
"""Lengths of messages: around a block of the usual hashes, a page, a data record."""
MESSAGE = (
    b"the kit's message, longer than one block of any hash that a signature scheme of today is"
    b" built upon." * 2
)


def sizes_are_sensible(driver: type[Signature]) -> None:
    """A public key has 32 to 8,192 bytes, a secret key 32 to 65,536, a signature 32 to 51,200.
    `deterministic` is a bool."""
    within_bounds(Signature, driver)
    require(
        isinstance(driver.deterministic, bool),
        f"deterministic is {driver.deterministic!r}, not True or False",
    )


def both_ends_agree(driver: type[Signature]) -> None:
    """What a pair signs verifies under its public key, in the stated sizes and types, from bytes,
    bytearray and memoryview."""
    pair = driver.generate()
    require(
        isinstance(pair.public, bytes) and len(pair.public) == driver.public_size,
        f"a public key has {len(pair.public)} bytes",
    )
    require(
        isinstance(pair.secret, bytearray), "a secret key is not a bytearray, so it cannot be wiped"
    )
    require(len(pair.secret) == driver.secret_size, f"a secret key has {len(pair.secret)} bytes")
    for wrap in (bytes, bytearray, memoryview):
        signature = driver.sign(pair, wrap(MESSAGE))
        require(
            isinstance(signature, bytes) and len(signature) == driver.signature_size,
            f"a signature has {len(signature)} bytes",
        )
        driver.verify(wrap(pair.public), wrap(MESSAGE), wrap(signature))


def messages_of_every_length_are_signed(driver: type[Signature]) -> None:
    """Messages from nothing to 1 MiB verify; the same message with a byte more, or without its
    last, does not."""
    pair = driver.generate()
    for length in LENGTHS:
        message = system_rng(length)
        signature = driver.sign(pair, message)
        driver.verify(pair.public, message, signature)
        for other in {message + b"\0", message[:-1]} - {message}:
            what = f"a signature of {length} bytes under a message of {len(other)}"
            refuses(BadSignature, partial(driver.verify, pair.public, other, signature), what)


def nothing_repeats(driver: type[Signature]) -> None:
    """Two pairs are never the same; two signatures of one message are exactly if the driver is
    `deterministic`."""
    first, second = driver.generate(), driver.generate()
    require(
        first.public != second.public and first.secret != second.secret,
        "two generated pairs are the same",
    )
    same = driver.sign(first, MESSAGE) == driver.sign(first, MESSAGE)
    require(
        same == driver.deterministic,
        f"two signatures of one message are {'the same' if same else 'not the same'}",
    )


def secrets_restore_the_pair(driver: type[Signature]) -> None:
    """The stored secret gives the same pair, which holds a copy of it, and signs for the same
    public key."""
    pair = driver.generate()
    for wrap in (bytes, bytearray, memoryview):
        twin = driver.restore(wrap(pair.secret))
        require(
            twin.public == pair.public and twin.secret == pair.secret,
            f"a secret given as {wrap.__name__} restores another pair",
        )
    stored = bytearray(pair.secret)
    twin = driver.restore(stored)
    wipe(stored)
    driver.verify(pair.public, MESSAGE, driver.sign(twin, MESSAGE))
    twin.wipe()
    driver.verify(pair.public, MESSAGE, driver.sign(pair, MESSAGE))


def published_keys_are_restored(driver: type[Signature]) -> None:
    """Published secrets give the published public key; those whose parts do not belong together are
    a `CryptoError`."""
    vectors = published("signature", driver.name)
    for key in vectors.get("keys", ()):
        public = driver.restore(assembled(vectors, key["secret"])).public
        expected, found = (
            (key["public"], public.hex())
            if "public" in key
            else (key["public_sha256"], hashlib.sha256(public).hexdigest())
        )
        require(found == expected, f"{key['source']}: another public key")
    for key in vectors.get("refused_secrets", ()):
        refuses(
            CryptoError,
            partial(driver.restore, assembled(vectors, key["secret"])),
            f"the secret of {key['source']}",
        )


def published_signatures_verify(driver: type[Signature]) -> None:
    """Published signatures verify; where the secret is published and the scheme is deterministic,
    it makes the same one."""
    for entry, (public, message, signature) in _published(driver, "signatures"):
        try:
            driver.verify(public, message, signature)
        except BadSignature:
            require(False, f"{entry['source']} does not verify")
        if "secret" in entry and driver.deterministic:
            made = driver.sign(driver.restore(bytes.fromhex(entry["secret"])), message)
            require(made == signature, f"{entry['source']}: another signature")


def published_forgeries_are_refused(driver: type[Signature]) -> None:
    """Signatures that are published as ones to refuse are a `BadSignature`."""
    for entry, arguments in _published(driver, "forgeries"):
        refuses(
            BadSignature, partial(driver.verify, *arguments), f"the forgery of {entry['source']}"
        )


def wrong_lengths_are_refused(driver: type[Signature]) -> None:
    """A secret that is empty, a byte short, a byte long or twice as long is a `CryptoError`; such a
    key or signature a `BadSignature`."""
    pair = driver.generate()
    signature = driver.sign(pair, MESSAGE)
    for bad in of_wrong_length(bytes(pair.secret)):
        refuses(CryptoError, partial(driver.restore, bad), f"a secret of {len(bad)} bytes")
        refuses(
            CryptoError,
            partial(driver.sign, SigningPair(pair.public, bytearray(bad)), MESSAGE),
            f"a pair with a secret of {len(bad)} bytes",
        )
    for bad in of_wrong_length(pair.public):
        refuses(
            BadSignature,
            partial(driver.verify, bad, MESSAGE, signature),
            f"a public key of {len(bad)} bytes",
        )
    for bad in of_wrong_length(signature):
        refuses(
            BadSignature,
            partial(driver.verify, pair.public, MESSAGE, bad),
            f"a signature of {len(bad)} bytes",
        )


def every_flipped_bit_is_refused(driver: type[Signature]) -> None:
    """T-23: a message, signature or public key with a bit flipped is a `BadSignature`."""
    pair = driver.generate()
    signature = driver.sign(pair, MESSAGE)
    for changed in one_bit_flipped(MESSAGE):
        refuses(
            BadSignature,
            partial(driver.verify, pair.public, changed, signature),
            "a message with a flipped bit",
        )
    for changed in one_bit_flipped(signature):
        refuses(
            BadSignature,
            partial(driver.verify, pair.public, MESSAGE, changed),
            "a signature with a flipped bit",
        )
    for changed in one_bit_flipped(pair.public):
        refuses(
            BadSignature,
            partial(driver.verify, changed, MESSAGE, signature),
            "a public key with a flipped bit",
        )


def another_key_does_not_verify(driver: type[Signature]) -> None:
    """A signature verifies under its own key alone, and zeros are a signature of nothing."""
    pair, other = driver.generate(), driver.generate()
    signature = driver.sign(pair, MESSAGE)
    refuses(
        BadSignature,
        partial(driver.verify, other.public, MESSAGE, signature),
        "a signature under another key",
    )
    refuses(
        BadSignature,
        partial(driver.verify, pair.public, MESSAGE, bytes(driver.signature_size)),
        "a signature of zeros",
    )
    refuses(
        BadSignature,
        partial(driver.verify, bytes(driver.public_size), MESSAGE, signature),
        "a public key of zeros",
    )


def a_wiped_pair_is_of_no_use(driver: type[Signature]) -> None:
    """After `wipe` the secret is gone, the caller's view of it is zeros, and signing is a
    `CryptoError`; wiping twice is harmless."""
    pair = driver.generate()
    secret = pair.secret
    pair.wipe()
    pair.wipe()
    require(not any(secret) and not any(pair.secret), "the secret key is still there after wipe")
    refuses(CryptoError, partial(driver.sign, pair, MESSAGE), "a wiped pair")


def _published(
    driver: type[Signature], section: str
) -> Iterator[tuple[Mapping[str, str], tuple[bytes, bytes, bytes]]]:
    """Each published entry of `section` with its public key, message and signature."""
    vectors: Mapping[str, Any] = published("signature", driver.name)
    for entry in vectors.get(section, ()):
        public, message, signature = (
            assembled(vectors, entry[field]) for field in ("public", "message", "signature")
        )
        yield entry, (public, message, signature)


Check: TypeAlias = Callable[[type[Signature]], None]

CHECKS: tuple[Check, ...] = (
    descriptor_is_complete,
    sizes_are_sensible,
    both_ends_agree,
    messages_of_every_length_are_signed,
    nothing_repeats,
    secrets_restore_the_pair,
    published_keys_are_restored,
    published_signatures_verify,
    published_forgeries_are_refused,
    wrong_lengths_are_refused,
    every_flipped_bit_is_refused,
    another_key_does_not_verify,
    a_wiped_pair_is_of_no_use,
)
