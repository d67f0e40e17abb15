"""A hash that ends with its digest."""

from __future__ import annotations

from typing import ClassVar

from tallow_core.spi.hash import Hasher
from tallow_core.types import ReadBuffer
from tallow_plugins.hashes.blake3 import Blake3


class OnceOnly(Hasher):
    """Ends with its digest."""

    def __init__(self, inner: Hasher) -> None:
        self._inner: Hasher | None = inner

    def update(self, data: ReadBuffer, /) -> None:
        assert self._inner is not None, "used after its digest"
        self._inner.update(data)

    def digest(self) -> bytes:
        assert self._inner is not None, "used after its digest"
        inner, self._inner = self._inner, None
        return inner.digest()


class DigestEnds(Blake3):
    """Gives each digest once, and says so."""

    digest_ends: ClassVar[bool] = True

    @classmethod
    def hasher(cls, context: str) -> Hasher:
        return OnceOnly(super().hasher(context))
