"""SHA3-256 (FIPS 202) in domains: SHA3-256(lv(context) || zeros up to a multiple of 136 bytes ||
data); lv(x) = length[4] || x.

The length says where the context ends, and with it where the padding does: no two pairs of context
and data give the same input. The block is as long as the rate of SHA3-256, as the customization of
cSHAKE and the key of KMAC are padded (SP 800-185 sections 3.3 and 4.3): a context costs one
permutation and the data keeps its alignment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import ClassVar

from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.hash import Hash, Hasher, Kdf
from tallow_plugins.hashes._running_hash import RunningHash

RATE = 136
"""Bytes that one permutation takes in (FIPS 202, table 3)."""


class Sha3256(Hash):
    """SHA3-256 with a block for the context in front. `hashlib` releases the GIL for updates of 2
    KiB and more."""

    name: ClassVar[str] = "sha3-256"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum"})
    preference: ClassVar[int] = 20
    digest_size: ClassVar[int] = 32
    kdf: ClassVar[Kdf] = "sha3_256"

    @classmethod
    def hasher(cls, context: str) -> Hasher:
        """See `Hash.hasher`."""
        text = context.encode("utf-8")
        block = len(text).to_bytes(4, "big") + text
        return RunningHash(hashlib.sha3_256(block + bytes(-len(block) % RATE)))


@hookimpl
def tallow_offer_hash() -> Iterable[type[Hash]]:
    """Offer SHA3-256."""
    return [Sha3256]
