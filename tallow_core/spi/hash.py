"""The contract of a hash function for content."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import ClassVar, Literal, TypeAlias

from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer

DIGEST_BYTES = 32
"""Bytes of every digest: trailers and receipts have fields of this size."""

Kdf: TypeAlias = Literal["sha256", "sha3_256"]
"""The functions of `hashlib` that the key schedule can run on."""


class Hasher(ABC):
    """One running hash."""

    @abstractmethod
    def update(self, data: ReadBuffer, /) -> None:
        """Take `data`, of any length. An implementation releases the GIL for long data where it
        can. Raises nothing."""

    @abstractmethod
    def digest(self) -> bytes:
        """The hash of all data so far, `digest_size` bytes. Raises nothing.

        If the driver sets `digest_ends`, this is the last call on the object.
        """


class Hash(Driver):
    """A hash function, domain-separated by a context string.

    `digest_size` is 32 bytes; a driver with any other size is refused when it is loaded. `kdf`
    names the function of `hashlib` that HMAC and HKDF of a session use when this driver is chosen.
    `digest_ends`: the algorithm can give its digest only once, at the end. Tallow asks each hasher
    for one digest in any case.
    """

    size_bounds = MappingProxyType({"digest_size": (DIGEST_BYTES, DIGEST_BYTES)})
    digest_size: ClassVar[int]
    kdf: ClassVar[Kdf]
    digest_ends: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def hasher(cls, context: str) -> Hasher:
        """Start a hash in the domain `context`. Two contexts never give the same hash of the same
        data. Raises nothing."""
