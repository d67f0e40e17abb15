"""The sizes of results where a contract states them. They are checked of third-party drivers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, tuple[Any, ...], Any], bool]
"""A check of one result. It takes the driver class, the arguments and the result, and returns
whether the size is right."""

SIZES: Mapping[str, Check] = {
    "Cipher.seal_into": lambda driver, given, size: size == len(given[2]) + driver.tag_size,
    "Cipher.open_into": lambda driver, given, size: size == len(given[2]) - driver.tag_size,
    "Kem.generate": lambda driver, given, pair: len(pair.public) == driver.public_size,
    "Kem.from_seed": lambda driver, given, pair: len(pair.public) == driver.public_size,
    "Kem.encapsulate": lambda driver, given, both: (
        (len(both[0]), len(both[1])) == (driver.ciphertext_size, driver.shared_size)
    ),
    "Kem.decapsulate": lambda driver, given, secret: len(secret) == driver.shared_size,
    "Signature.generate": lambda driver, given, pair: (
        (len(pair.public), len(pair.secret)) == (driver.public_size, driver.secret_size)
    ),
    "Signature.restore": lambda driver, given, pair: len(pair.public) == driver.public_size,
    "Signature.sign": lambda driver, given, made: len(made) == driver.signature_size,
    "Hasher.digest": lambda driver, given, digest: len(digest) == driver.digest_size,
    "CodeAuthenticator.share": lambda driver, given, share: len(share) == driver.share_size,
    "LoginAuthenticator.make_setup": lambda driver, given, made: len(made) == driver.setup_size,
    "ServerRegistration.finish": lambda driver, given, record: len(record) == driver.record_size,
    "ByteStream.receive_into": lambda driver, given, size: 0 <= size <= len(given[0]),
    "Rooms.open": lambda driver, given, name: name.isascii() and name.isdigit() and len(name) <= 10,
    "Rooms.owner": lambda driver, given, owner: owner is None or len(owner) == 32,
}
"""The checks by `Contract.method`."""


def size_check(contracts: tuple[type, ...], method: str) -> Check | None:
    """The check of the first of `contracts` that has one for the method."""
    names = (f"{contract.__name__}.{method}" for contract in contracts)
    return next((SIZES[name] for name in names if name in SIZES), None)
