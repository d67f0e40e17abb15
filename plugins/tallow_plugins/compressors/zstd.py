"""Zstandard (RFC 8878), each chunk a frame of its own that states its content size, without
dictionary or checksum.

Level 1: on text it runs several times as fast as a good network and saves nearly as much as the
default level. Frames are bounded before anything is unpacked: by their header (RFC 8878, section
3.1.1.1), which must state the very size of the chunk. The records around them are authenticated and
files are hashed, so the checksum of a frame would only cost. The library releases the GIL.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from tallow_core.errors import RemoteProtocolError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.compressor import Compressor
from tallow_core.types import ReadBuffer, WriteBuffer

if TYPE_CHECKING:
    import zstandard

LEVEL = 1
MAGIC = bytes.fromhex("28b52ffd")
"""A Zstandard frame; skippable frames and those of older formats begin otherwise (RFC 8878, section
3.1)."""
WINDOW = 8 << 20
"""The largest window, as RFC 8878 (section 3.1.1.1.2) recommends to support; a frame of one chunk
needs no more than the chunk."""


class Zstd(Compressor):
    """Zstandard by the library `zstandard`, imported by the first call."""

    name: ClassVar[str] = "zstd"
    labels: ClassVar[frozenset[str]] = frozenset()
    preference: ClassVar[int] = 10

    def __init__(self) -> None:
        """See `Compressor`."""
        self._packer: zstandard.ZstdCompressor | None = None
        self._unpacker: zstandard.ZstdDecompressor | None = None

    def pack(self, data: ReadBuffer, /) -> ReadBuffer:
        """See `Compressor.pack`."""
        if self._packer is None:
            import zstandard

            self._packer = zstandard.ZstdCompressor(
                level=LEVEL, write_content_size=True, write_checksum=False
            )
        return self._packer.compress(data)

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        """See `Compressor.unpack_into`."""
        import zstandard

        if self._unpacker is None:
            self._unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW)
        try:
            _check_header(packed, len(out))
            plain = self._unpacker.decompress(
                packed, max_output_size=len(out), read_across_frames=False, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise RemoteProtocolError(
                "the other side sent a compressed chunk that is not whole Zstandard"
            ) from error
        if len(plain) != len(out):
            raise RemoteProtocolError(
                "the other side sent a compressed chunk of another size than it said"
            )
        memoryview(out)[:] = plain


def _check_header(packed: ReadBuffer, size: int) -> None:
    """The library allocates as many bytes as the header states: it must state `size`."""
    import zstandard

    if bytes(packed[:4]) != MAGIC:
        raise RemoteProtocolError(
            "the other side sent a compressed chunk that is no Zstandard frame"
        )
    header = zstandard.get_frame_parameters(packed)
    if header.content_size != size or header.window_size > WINDOW or header.dict_id:
        raise RemoteProtocolError(
            "the other side sent a compressed chunk of another size than it said, or one that"
            " needs more than itself"
        )


@hookimpl
def tallow_offer_compressor() -> Iterable[type[Compressor]]:
    """Offer Zstandard."""
    return [Zstd]
