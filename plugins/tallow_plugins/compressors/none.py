"""No compression: every chunk stands for itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from tallow_core.errors import RemoteProtocolError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.compressor import Compressor
from tallow_core.types import ReadBuffer, WriteBuffer


class NoCompression(Compressor):
    """Never makes anything shorter, so that nothing is ever sent packed: sizes on the wire say
    nothing of what the content is like."""

    name: ClassVar[str] = "none"
    labels: ClassVar[frozenset[str]] = frozenset()
    preference: ClassVar[int] = 90

    def __init__(self) -> None:
        """See `Compressor`."""

    def pack(self, data: ReadBuffer, /) -> ReadBuffer:
        """See `Compressor.pack`."""
        return data

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        """See `Compressor.unpack_into`."""
        if len(packed) != len(out):
            raise RemoteProtocolError(
                "the other side sent a compressed chunk, though none was agreed on"
            )
        memoryview(out)[:] = packed


@hookimpl
def tallow_offer_compressor() -> Iterable[type[Compressor]]:
    """Offer the compressor."""
    return [NoCompression]
