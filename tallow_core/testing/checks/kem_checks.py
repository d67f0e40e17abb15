"""What every key encapsulation mechanism must do: see `tallow_core.spi.kem`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from tallow_core.errors import CryptoError
from tallow_core.secrets import system_rng
from tallow_core.spi.kem import Kem, KemPair
from tallow_core.testing.checks.driver_checks import descriptor_is_complete, within_bounds
from tallow_core.testing.checks.samples import of_wrong_length, one_bit_flipped
from tallow_core.testing.expect import refuses, require
from tallow_core.testing.vectors import assembled, published
from tallow_core.types import ReadBuffer


def sizes_are_sensible(driver: type[Kem]) -> None:
    """The public key has at most 12,288 bytes, the ciphertext 15,360, the secret 32 to 1,024, the
    seed 32 to 1,024 or 0 (there is none). `implicit_rejection` is a bool."""
    within_bounds(Kem, driver)
    require(
        driver.seed_size == 0 or driver.seed_size >= 32, "a seed below 32 bytes is no protection"
    )
    stated = getattr(driver, "implicit_rejection", None)
    require(isinstance(stated, bool), f"implicit_rejection is {stated!r}, not True or False")


def both_ends_agree(driver: type[Kem]) -> None:
    """Decapsulating gives what encapsulating gave, in the stated sizes, from bytes, bytearray and
    memoryview."""
    pair = driver.generate()
    require(len(pair.public) == driver.public_size, f"a public key has {len(pair.public)} bytes")
    for wrap in (bytes, bytearray, memoryview):
        ciphertext, shared = driver.encapsulate(wrap(pair.public))
        require(
            len(ciphertext) == driver.ciphertext_size, f"a ciphertext has {len(ciphertext)} bytes"
        )
        require(len(shared) == driver.shared_size, f"a secret has {len(shared)} bytes")
        require(isinstance(shared, bytearray), "a secret is not a bytearray, so it cannot be wiped")
        require(driver.decapsulate(pair, wrap(ciphertext)) == shared, "the two ends do not agree")


def nothing_repeats(driver: type[Kem]) -> None:
    """Two pairs, two ciphertexts and two secrets for the same key are never the same."""
    first, second = driver.generate(), driver.generate()
    require(first.public != second.public, "two generated keys are the same")
    ciphertext, shared = driver.encapsulate(first.public)
    again, other = driver.encapsulate(first.public)
    require(ciphertext != again and shared != other, "two encapsulations are the same")


def seeds_determine_the_pair(driver: type[Kem]) -> None:
    """The same seed gives the same pair, another seed another pair, and a seeded pair works.
    Without seeds (`seed_size` 0) `from_seed` is a `CryptoError`."""
    if not driver.seed_size:
        for none in (b"", bytes(32)):
            refuses(
                CryptoError, partial(_call, driver.from_seed, none), "a seed, but there is none"
            )
        return
    seed = system_rng(driver.seed_size)
    pair, twin = driver.from_seed(seed), driver.from_seed(bytearray(seed))
    require(pair.public == twin.public, "the same seed gives another key")
    require(
        driver.from_seed(system_rng(driver.seed_size)).public != pair.public,
        "another seed gives the same key",
    )
    ciphertext, shared = driver.encapsulate(pair.public)
    require(driver.decapsulate(twin, ciphertext) == shared, "a seeded pair does not decapsulate")


def published_vectors_match(driver: type[Kem]) -> None:
    """Published seeds give the published public key, published ciphertexts the published secret.
    Without seeds there is nothing to compare."""
    vectors = published("kem", driver.name) if driver.seed_size else {}
    for exchange in vectors.get("exchanges", ()):
        source, pair = exchange["source"], driver.from_seed(bytes.fromhex(exchange["seed"]))
        if "public" in exchange:
            require(pair.public.hex() == exchange["public"], f"{source}: another public key")
        if "public_sha256" in exchange:
            require(
                hashlib.sha256(pair.public).hexdigest() == exchange["public_sha256"],
                f"{source}: another public key",
            )
        shared = driver.decapsulate(pair, assembled(vectors, exchange["ciphertext"]))
        require(shared.hex() == exchange["shared"], f"{source}: another secret")


def wrong_lengths_are_refused(driver: type[Kem]) -> None:
    """A seed (if there are seeds), public key or ciphertext that is empty, a byte short, a byte
    long or twice as long is a `CryptoError`."""
    pair = driver.generate()
    ciphertext, _ = driver.encapsulate(pair.public)
    seeds = [("seed", system_rng(driver.seed_size), driver.from_seed)] if driver.seed_size else []
    inputs: list[tuple[str, bytes, Callable[..., object]]] = [
        *seeds,
        ("public key", pair.public, driver.encapsulate),
        ("ciphertext", ciphertext, partial(driver.decapsulate, pair)),
    ]
    for what, good, action in inputs:
        for bad in of_wrong_length(good):
            refuses(CryptoError, partial(_call, action, bad), f"a {what} of {len(bad)} bytes")


def changed_ciphertexts_give_no_secret(driver: type[Kem]) -> None:
    """A ciphertext with a flipped bit, and one for another key, give another secret; without
    implicit rejection, or a `CryptoError`."""
    pair = driver.generate()
    ciphertext, shared = driver.encapsulate(pair.public)
    seen: set[bytes] = {bytes(driver.shared_size)}
    for what, holder, changed in (
        *(("a changed ciphertext", pair, changed) for changed in one_bit_flipped(ciphertext)),
        ("a ciphertext for another holder", driver.generate(), ciphertext),
    ):
        other = _secret(driver, holder, changed)
        require(other != shared, f"{what} gives the same secret")
        require(
            other is not None or not driver.implicit_rejection,
            f"{what} raises instead of giving another secret",
        )
        require(
            other is None or len(other) == driver.shared_size,
            f"{what} gives a secret of another size",
        )
        require(
            other is None or bytes(other) not in seen,
            f"{what} gives a secret that anyone could know",
        )
        seen |= set() if other is None else {bytes(other)}


def changed_keys_give_no_secret(driver: type[Kem]) -> None:
    """Encapsulating to a public key with a flipped bit gives a secret that the holder does not get,
    or a `CryptoError`."""
    pair = driver.generate()
    for changed in one_bit_flipped(pair.public):
        try:
            ciphertext, shared = driver.encapsulate(changed)
        except CryptoError:
            continue
        require(_secret(driver, pair, ciphertext) != shared, "a changed public key goes unnoticed")


def forbidden_inputs_are_refused(driver: type[Kem]) -> None:
    """Low-order points and keys that are not reduced, where the kit knows them, are a
    `CryptoError`."""
    vectors = published("kem", driver.name)
    pair = driver.generate()
    ciphertext, _ = driver.encapsulate(pair.public)
    for overlay in vectors.get("refused_publics", ()):
        refuses(
            CryptoError,
            partial(driver.encapsulate, _overlaid(pair.public, overlay)),
            f"a key with {_described(overlay)}",
        )
    for overlay in vectors.get("refused_ciphertexts", ()):
        refuses(
            CryptoError,
            partial(driver.decapsulate, pair, _overlaid(ciphertext, overlay)),
            f"a ciphertext with {_described(overlay)}",
        )


def allowed_keys_are_taken(driver: type[Kem]) -> None:
    """Keys that look wrong and that the standard allows, where the kit knows them, are encapsulated
    to."""
    for overlay in published("kem", driver.name).get("accepted_publics", ()):
        try:
            ciphertext, shared = driver.encapsulate(_overlaid(driver.generate().public, overlay))
        except CryptoError:
            require(False, f"a key with {_described(overlay)} is refused")
        require(
            (len(ciphertext), len(shared)) == (driver.ciphertext_size, driver.shared_size),
            "the sizes are others than stated",
        )


def a_wiped_pair_is_of_no_use(driver: type[Kem]) -> None:
    """After `wipe`, decapsulating is a `CryptoError`."""
    pair = driver.generate()
    ciphertext, _ = driver.encapsulate(pair.public)
    pair.wipe()
    refuses(CryptoError, partial(driver.decapsulate, pair, ciphertext), "a wiped pair")


def _call(action: Callable[[ReadBuffer], object], argument: bytes) -> object:
    return action(argument)


def _secret(driver: type[Kem], pair: KemPair, ciphertext: bytes) -> bytearray | None:
    try:
        return driver.decapsulate(pair, ciphertext)
    except CryptoError:
        return None


def _overlaid(good: bytes, overlay: Mapping[str, Any]) -> bytes:
    patch, offset = bytes.fromhex(overlay["hex"]), int(overlay["offset"])
    return good[:offset] + patch + good[offset + len(patch) :]


def _described(overlay: Mapping[str, Any]) -> str:
    return f"{overlay['hex'][:64]} at {overlay['offset']} ({overlay['source']})"


Check: TypeAlias = Callable[[type[Kem]], None]

CHECKS: tuple[Check, ...] = (
    descriptor_is_complete,
    sizes_are_sensible,
    both_ends_agree,
    nothing_repeats,
    seeds_determine_the_pair,
    published_vectors_match,
    wrong_lengths_are_refused,
    changed_ciphertexts_give_no_secret,
    changed_keys_give_no_secret,
    forbidden_inputs_are_refused,
    allowed_keys_are_taken,
    a_wiped_pair_is_of_no_use,
)
