"""Secret bytes, comparison in constant time, and sources of randomness.

Wiping is best effort: our own `bytearray`s are overwritten, copies of a library or the interpreter
are not (docs/protocol/index.md, "Honest claims").
"""

from __future__ import annotations

import hmac
import secrets as _secrets
from typing import Protocol

from tallow_core.types import ReadBuffer


class Rng(Protocol):
    """A source of random bytes: `n` in, `n` bytes out."""

    def __call__(self, n: int, /) -> bytes: ...


def system_rng(n: int) -> bytes:
    """`n` bytes of the operating system's generator."""
    return _secrets.token_bytes(n)


def below(limit: int) -> int:
    """A uniform integer in [0, limit) from the operating system's generator."""
    return _secrets.randbelow(limit)


def equal(left: ReadBuffer, right: ReadBuffer) -> bool:
    """Compare in time that depends on the lengths only."""
    return hmac.compare_digest(left, right)


def wipe(*buffers: bytearray | memoryview | None) -> None:
    """Overwrite each buffer with zeros; None is passed over."""
    for buffer in buffers:
        if buffer is not None:
            buffer[:] = bytes(len(buffer))
