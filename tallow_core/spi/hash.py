"""The contract of a hash function for content."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer


class Hasher(ABC):
    """One running hash."""

    @abstractmethod
    def update(self, data: ReadBuffer, /) -> None:
        """Take `data`. It may be long: implementations release the GIL for it where they can."""

    @abstractmethod
    def digest(self) -> bytes:
        """The hash of all that was taken, `digest_size` bytes."""


class Hash(Driver):
    """A hash function, domain-separated by a context string.

    `kdf` names the function of `hashlib` that HMAC and HKDF of a session use when this driver is
    chosen ("H follows the chosen hash").
    """

    digest_size: ClassVar[int]
    kdf: ClassVar[str]

    @classmethod
    @abstractmethod
    def hasher(cls, context: str) -> Hasher:
        """Start a hash in the domain `context`; two contexts never give the same hash for the same
        data."""
