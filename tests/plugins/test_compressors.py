"""The first-party compressors: the kit, what zstd makes by the words of RFC 8878, and drivers that
the kit refuses."""

from __future__ import annotations

import subprocess
import sys
import zlib
from typing import ClassVar

import pytest

from tallow_core.errors import RemoteProtocolError
from tallow_core.registry.kinds import COMPRESSOR
from tallow_core.secrets import system_rng
from tallow_core.spi.compressor import Compressor
from tallow_core.testing import ConformanceError
from tallow_core.testing.checks import compressor_checks as checks
from tallow_core.testing.suite import run_checks
from tallow_core.types import ReadBuffer, WriteBuffer
from tallow_plugins.compressors import none, zstd
from tallow_plugins.compressors.none import NoCompression
from tallow_plugins.compressors.zstd import Zstd

MIB = 1 << 20


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("driver", [Zstd, NoCompression], ids=lambda driver: driver.name)
def test_conformance(driver: type[Compressor], check: checks.Check) -> None:
    check(driver)


def test_each_module_offers_its_driver() -> None:
    assert list(zstd.tallow_offer_compressor()) == [Zstd]
    assert list(none.tallow_offer_compressor()) == [NoCompression]
    assert Zstd.preference < NoCompression.preference


# -- zstd by the words of RFC 8878 ---------------------------------------------------------------

HAND_MADE = {
    # magic, descriptor 0x20 (single segment, one byte of content size), size, then blocks: header
    # of 3 bytes, little-endian: last (1 bit), type (2 bits: 0 raw, 1 RLE), size (21 bits)
    "raw block": ("28b52ffd 20 03 190000 616263", b"abc"),
    "RLE block": ("28b52ffd 20 05 2b0000 7a", b"zzzzz"),
    "two blocks": ("28b52ffd 20 08 180000 616263 2b0000 7a", b"abczzzzz"),
    # two bytes of content size hold it less 256
    "two bytes of size": ("28b52ffd 60 0000 030800 00", bytes(256)),
    "four bytes of size, window of 1 KiB": ("28b52ffd 80 00 05000000 2b0000 7a", b"zzzzz"),
}
"""Frames put together after sections 3.1.1.1 and 3.1.1.2."""


@pytest.mark.parametrize("name", HAND_MADE)
def test_frames_by_hand(name: str) -> None:
    frame, content = HAND_MADE[name]
    out = bytearray(len(content))
    Zstd().unpack_into(bytes.fromhex(frame), out)
    assert out == content


def test_what_it_packs_is_one_frame_that_states_its_size_and_nothing_else() -> None:
    for data in (b"a", bytes(300), b"text " * 1000, system_rng(MIB), bytes(MIB)):
        frame = bytes(Zstd().pack(data))
        assert frame[:4].hex() == "28b52ffd"
        descriptor = frame[4]
        assert not descriptor & 0x04, "no checksum"
        assert not descriptor & 0x03, "no dictionary"
        width = {0: 1, 1: 2, 2: 4, 3: 8}[descriptor >> 6]
        at = 5 if descriptor & 0x20 else 6
        assert descriptor & 0x20 or frame[5] >> 3 <= 10, "a window of 1 MiB at most"
        assert int.from_bytes(frame[at : at + width], "little") + (256 if width == 2 else 0) == len(
            data
        )


@pytest.mark.processes
def test_another_reader_of_the_format_agrees() -> None:
    """Python's own module, from 3.14 on, or the command `zstd`."""
    data = b"so much of what is said was said before, " * 1000
    frame = bytes(Zstd().pack(data))
    if sys.version_info >= (3, 14):
        from compression import zstd as ours

        assert ours.decompress(frame) == data
        return
    try:
        done = subprocess.run(
            ["zstd", "-d", "-c"], input=frame, capture_output=True, check=True, timeout=30
        )
    except FileNotFoundError:
        pytest.skip("neither Python 3.14 nor the command zstd is here")
    assert done.stdout == data


@pytest.mark.processes
def test_the_library_is_imported_by_the_first_call() -> None:
    code = (
        "import sys; from tallow_plugins.compressors.zstd import Zstd; z = Zstd(); a ="
        " 'zstandard' in sys.modules; z.pack(b'a'); "
    )
    done = subprocess.run(
        [sys.executable, "-c", code + "print(a, 'zstandard' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["False", "True"]


# -- the kit refuses -----------------------------------------------------------------------------


class Zlib(Compressor):
    """A driver as it should be, over another library: the broken ones below change one thing
    each."""

    name: ClassVar[str] = "zlib"
    labels: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        self.most = 1

    def pack(self, data: ReadBuffer, /) -> ReadBuffer:
        return zlib.compress(data, 1)

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        inflate = zlib.decompressobj()
        try:
            plain = inflate.decompress(packed, len(out) + self.most)
        except zlib.error as error:
            raise RemoteProtocolError("damaged") from error
        self.check(inflate, plain, len(out))
        memoryview(out)[: len(plain)] = plain[: len(out)]

    def check(self, inflate: zlib._Decompress, plain: bytes, size: int) -> None:
        if len(plain) != size or not inflate.eof or inflate.unused_data:
            raise RemoteProtocolError("another size")


class IgnoresBound(Zlib):
    """Unpacks all there is before it looks at the size."""

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        self.most = 1 << 40
        super().unpack_into(packed, out)


class CutsOff(Zlib):
    """Takes a frame of more for one of as much as there is room for."""

    def check(self, inflate: zlib._Decompress, plain: bytes, size: int) -> None:
        if len(plain) < size or inflate.unused_data:
            raise RemoteProtocolError("another size")


class LeavesRest(Zlib):
    """Takes a frame of less, and leaves the rest of the output as it was."""

    def check(self, inflate: zlib._Decompress, plain: bytes, size: int) -> None:
        if len(plain) > size or not inflate.eof or inflate.unused_data:
            raise RemoteProtocolError("another size")


class TakesGarbage(Zlib):
    """Does not look at what follows the frame."""

    def check(self, inflate: zlib._Decompress, plain: bytes, size: int) -> None:
        if len(plain) != size or not inflate.eof:
            raise RemoteProtocolError("another size")


class TakesTruncated(Zlib):
    """Is content with the right number of bytes, whether the frame has ended or not."""

    def check(self, inflate: zlib._Decompress, plain: bytes, size: int) -> None:
        if len(plain) != size or inflate.unused_data:
            raise RemoteProtocolError("another size")


class LeaksErrors(Zlib):
    """Lets the library's own error through."""

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        plain = zlib.decompress(packed)
        if len(plain) != len(out):
            raise RemoteProtocolError("another size")
        memoryview(out)[:] = plain


class WritesAround(Zlib):
    """Writes to the buffer that the output is a part of."""

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        super().unpack_into(packed, out)
        if (
            isinstance(out, memoryview)
            and isinstance(out.obj, bytearray)
            and len(out.obj) > len(out)
        ):
            out.obj[-1] = 0


class KeepsState(Zlib):
    """Packs chunks as one stream: each needs those before it."""

    def __init__(self) -> None:
        super().__init__()
        self._out = zlib.compressobj(1)
        self._in = zlib.decompressobj()

    def pack(self, data: ReadBuffer, /) -> ReadBuffer:
        return self._out.compress(data) + self._out.flush(zlib.Z_SYNC_FLUSH)

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        try:
            plain = self._in.decompress(packed, len(out) + 1)
        except zlib.error as error:
            raise RemoteProtocolError("damaged") from error
        if len(plain) != len(out):
            raise RemoteProtocolError("another size")
        memoryview(out)[:] = plain


class RemembersFailure(Zlib):
    """Is of no use after a frame that it refused."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = False

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        if self.failed:
            raise RemoteProtocolError("it was refused before")
        self.failed = True
        super().unpack_into(packed, out)
        self.failed = False


class ChangesInput(Zlib):
    """Clears the chunk once it is packed."""

    def pack(self, data: ReadBuffer, /) -> ReadBuffer:
        frame = super().pack(data)
        if isinstance(data, bytearray):
            data[:] = bytes(len(data))
        return frame


class LosesBytes(Zlib):
    """Packs 64 KiB at most."""

    def pack(self, data: ReadBuffer, /) -> ReadBuffer:
        return super().pack(memoryview(data)[: 1 << 16])


class BytesOnly(Zlib):
    """Reads frames from bytes objects only."""

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        if not isinstance(packed, bytes):
            raise RemoteProtocolError("not bytes")
        super().unpack_into(packed, out)


BROKEN = (
    (IgnoresBound, "a_bomb_stops_at_the_output"),
    (CutsOff, "other_sizes_are_refused"),
    (LeavesRest, "chunks_are_apart"),
    (TakesGarbage, "nothing_follows_a_frame"),
    (TakesTruncated, "parts_of_a_frame_are_refused"),
    (LeaksErrors, "parts_of_a_frame_are_refused"),
    (WritesAround, "chunks_come_back"),
    (KeepsState, "chunks_are_apart"),
    (RemembersFailure, "chunks_are_apart"),
    (ChangesInput, "chunks_come_back"),
    (LosesBytes, "chunks_come_back"),
    (BytesOnly, "every_buffer_is_taken"),
)


def test_the_kit_accepts_a_driver_of_another_library() -> None:
    assert len(run_checks(COMPRESSOR, Zlib)) == len(checks.CHECKS)


@pytest.mark.parametrize(
    ("driver", "check"), BROKEN, ids=lambda value: value.__name__ if isinstance(value, type) else ""
)
def test_the_kit_refuses_a_broken_driver(driver: type[Compressor], check: str) -> None:
    with pytest.raises(ConformanceError, match=f"{driver.__name__}, {check}"):
        run_checks(COMPRESSOR, driver)
