"""Inputs that checks of several kinds draw: single bits flipped, lengths that are nearly right."""

from __future__ import annotations

from collections.abc import Iterator


def one_bit_flipped(data: bytes) -> Iterator[bytes]:
    """`data` with one bit flipped: in each of the first and last 64 bytes, and between them in
    every 37th, or wider apart if it is long."""
    step = max(37, len(data) // 128)
    positions = sorted(
        {
            *range(min(64, len(data))),
            *range(max(len(data) - 64, 0), len(data)),
            *range(0, len(data), step),
        }
    )
    for position in positions:
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        yield bytes(changed)


def of_wrong_length(data: bytes) -> tuple[bytes, ...]:
    """Nothing, `data` without its last byte, without its first, with a byte more, and twice."""
    return b"", data[:-1], data[1:], data + b"\0", data + data
