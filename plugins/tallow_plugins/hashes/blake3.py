"""BLAKE3 in its derive_key mode, one domain a context string: the BLAKE3 paper, sections 2.3 and
6.2.

derive_key puts the context into the keys of the compression function, so that contexts cannot
collide with each other, nor with plain BLAKE3. The library releases the GIL for long inputs; its
own threads stay off, since the data plane already fills the cores.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from blake3 import blake3

from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.hash import Hash, Hasher, Kdf
from tallow_plugins.hashes._running_hash import RunningHash


class Blake3(Hash):
    """BLAKE3 with 32 bytes of output. A 256-bit hash keeps 128 bits against quantum preimage
    search."""

    name: ClassVar[str] = "blake3"
    labels: ClassVar[frozenset[str]] = frozenset({"post-quantum"})
    preference: ClassVar[int] = 10
    digest_size: ClassVar[int] = 32
    kdf: ClassVar[Kdf] = "sha256"

    @classmethod
    def hasher(cls, context: str) -> Hasher:
        """See `Hash.hasher`."""
        return RunningHash(blake3(derive_key_context=context))


@hookimpl
def tallow_offer_hash() -> Iterable[type[Hash]]:
    """Offer BLAKE3."""
    return [Blake3]
