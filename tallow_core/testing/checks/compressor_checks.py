"""What every compressor must do: see `tallow_core.spi.compressor`."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from tallow_core.errors import RemoteProtocolError
from tallow_core.secrets import system_rng
from tallow_core.spi.compressor import Compressor
from tallow_core.testing.checks.driver_checks import descriptor_is_complete
from tallow_core.testing.expect import refuses, require

MAX_CHUNK_BYTES = 1 << 20
LENGTHS = (1, 2, 3, 255, 256, 4096, 65_537, MAX_CHUNK_BYTES)
TEXT = (
    b"the quick brown fox jumps over the lazy dog, and what the fox has said to the dog is not"
    b" known; "
)
GUARD = 16
BOMB = 64 << 20
"""Bytes that a frame made by the driver itself stands for, where it makes such frames."""
SPARE = 4 << 20
"""Memory that unpacking may use beside the output."""


def _samples(length: int) -> tuple[bytes, ...]:
    """Content that packs to nothing, well, and not at all."""
    return bytes(length), (TEXT * (length // len(TEXT) + 1))[:length], system_rng(length)


def chunks_come_back(driver: type[Compressor]) -> None:
    """Chunks of all lengths, as bytes, bytearray or memoryview, come back byte for byte, and stay
    as they are."""
    packer, unpacker = driver(), driver()
    for length in LENGTHS:
        for data in _samples(length):
            for given in (data, bytearray(data), memoryview(bytearray(data))):
                frame = packer.pack(given)
                require(bytes(given) == data, "packing changes the chunk")
                require(
                    _unpacked(unpacker, frame, length) == data, f"{length} bytes do not come back"
                )


def every_buffer_is_taken(driver: type[Compressor]) -> None:
    """A frame is read from any kind of buffer, and the output may be a part of a larger one; what
    lies around it stays as it is."""
    data = TEXT * 40
    frame = bytes(driver().pack(data))
    for given in (
        frame,
        bytearray(frame),
        memoryview(frame),
        memoryview(b"?" + frame + b"?")[1:-1],
    ):
        require(
            _unpacked(driver(), given, len(data)) == data,
            "a frame in another kind of buffer gives another chunk",
        )


def chunks_are_apart(driver: type[Compressor]) -> None:
    """Frames of one object are unpacked in any order, by objects that saw none of the others, and
    after one that was refused."""
    packer, chunks = (
        driver(),
        [TEXT * 99, system_rng(5000), TEXT * 99, bytes(70_000), TEXT * 98 + b"end"],
    )
    frames = [bytes(packer.pack(chunk)) for chunk in chunks]
    for chunk, frame in zip(chunks, frames, strict=True):
        require(
            _unpacked(driver(), frame, len(chunk)) == chunk,
            "a chunk needs what was packed before it",
        )
    once = driver()
    for chunk, frame in reversed(list(zip(chunks, frames, strict=True))):
        refuses(
            RemoteProtocolError,
            partial(_unpack, once, frame, len(chunk) + 1),
            "a frame of another size",
        )
        require(
            _unpacked(once, frame, len(chunk)) == chunk, "what was unpacked before disturbs a chunk"
        )


def other_sizes_are_refused(driver: type[Compressor]) -> None:
    """A frame that holds more or fewer bytes than the output has room for is refused, and nothing
    is written outside of the output."""
    for data in (TEXT * 40, bytes(4096), system_rng(300)):
        frame = bytes(driver().pack(data))
        for size in (
            1,
            len(data) // 2,
            len(data) - 1,
            len(data) + 1,
            2 * len(data),
            MAX_CHUNK_BYTES,
        ):
            refuses(
                RemoteProtocolError,
                lambda frame=frame, size=size: _unpack(driver(), frame, size),  # type: ignore[misc]
                "a frame of another size",
            )


def parts_of_a_frame_are_refused(driver: type[Compressor]) -> None:
    """A frame that ends too early, at any byte, is refused; so is an empty frame."""
    for data in (TEXT * 5, bytes(4096), system_rng(100)):
        frame = bytes(driver().pack(data))
        for end in range(len(frame)):
            cut = frame[:end]
            refuses(
                RemoteProtocolError,
                lambda cut=cut, data=data: _unpack(driver(), cut, len(data)),  # type: ignore[misc]
                "a frame that is cut off",
            )


def nothing_follows_a_frame(driver: type[Compressor]) -> None:
    """Anything after a frame is refused: a byte, zeros, another frame."""
    for data in (TEXT * 5, bytes(4096), system_rng(100)):
        frame = bytes(driver().pack(data))
        for more in (b"\0", bytes(64), b"\xff", frame):
            longer = frame + more
            refuses(
                RemoteProtocolError,
                partial(_unpack, driver(), longer, len(data)),
                "what follows a frame",
            )


def damage_does_no_harm(driver: type[Compressor]) -> None:
    """A frame with a changed bit, or of random bytes, is refused or fills the output; it raises
    nothing else and writes nowhere else."""
    data = TEXT * 5
    frame = bytes(driver().pack(data))
    damaged = [system_rng(length) for length in (1, 4, 16, 100, 1000)]
    for bit in range(8 * min(len(frame), 160)):
        changed = bytearray(frame)
        changed[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(changed))
    for each in damaged:
        try:
            _unpack(driver(), each, len(data))
        except RemoteProtocolError:
            continue


def a_bomb_stops_at_the_output(driver: type[Compressor]) -> None:
    """A frame of far more than a chunk, as the driver itself makes it, is refused with a few MiB of
    memory at most."""
    try:
        frame = bytes(driver().pack(bytes(BOMB)))
    except Exception:  # no chunk is that long: who does not pack it makes no bomb
        return
    if len(frame) >= MAX_CHUNK_BYTES:
        return  # it would not come in one record
    unpacker = driver()
    _unpacked(
        unpacker, unpacker.pack(TEXT), len(TEXT)
    )  # what is imported or set up at first is not counted
    for size in (1, MAX_CHUNK_BYTES):
        require(
            _peak(unpacker, frame, size) < size + SPARE,
            "a bomb takes memory for what it says, not for what there is room for",
        )


def _peak(unpacker: Compressor, frame: bytes, size: int) -> int:
    tracemalloc.start()
    try:
        refuses(RemoteProtocolError, lambda: _unpack(unpacker, frame, size), "a bomb")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _unpack(unpacker: Compressor, frame: bytes, size: int) -> None:
    """Unpack into the middle of a buffer; `ConformanceError` if anything around is touched."""
    around = bytearray(b"\xa5" * (size + 2 * GUARD))
    try:
        unpacker.unpack_into(frame, memoryview(around)[GUARD:-GUARD])
    finally:
        require(
            around[:GUARD] + around[-GUARD:] == b"\xa5" * (2 * GUARD),
            "bytes around the output are touched",
        )


def _unpacked(unpacker: Compressor, frame: object, size: int) -> bytes:
    out = bytearray(b"\xa5" * (size + 2 * GUARD))
    unpacker.unpack_into(frame, memoryview(out)[GUARD:-GUARD])  # type: ignore[arg-type]
    require(
        out[:GUARD] + out[-GUARD:] == b"\xa5" * (2 * GUARD), "bytes around the output are touched"
    )
    return bytes(out[GUARD:-GUARD])


Check: TypeAlias = Callable[[type[Compressor]], None]

CHECKS: tuple[Check, ...] = (
    descriptor_is_complete,
    chunks_come_back,
    every_buffer_is_taken,
    chunks_are_apart,
    other_sizes_are_refused,
    parts_of_a_frame_are_refused,
    nothing_follows_a_frame,
    damage_does_no_harm,
    a_bomb_stops_at_the_output,
)
