"""How the checks of ciphers seal, open and tamper."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tallow_core.errors import ForgedRecord
from tallow_core.spi.cipher import Cipher
from tallow_core.testing.expect import refuses, require
from tallow_core.types import ReadBuffer

AAD = b"lane 7, direction 1, epoch 0, counter 42"
SPARE = 32
FILL = 0xA5


def seal(cipher: Cipher, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer) -> bytes:
    """Seal into a larger buffer and check that nothing else of it is written."""
    out = bytearray([FILL]) * (len(plaintext) + cipher.tag_size + SPARE)
    return written(
        out, cipher.seal_into(nonce, aad, plaintext, out), len(plaintext) + cipher.tag_size
    )


def open_record(cipher: Cipher, nonce: ReadBuffer, aad: ReadBuffer, sealed: ReadBuffer) -> bytes:
    """Open into a larger buffer and check that nothing else of it is written."""
    expected = max(len(sealed) - cipher.tag_size, 0)
    out = bytearray([FILL]) * (expected + SPARE)
    return written(out, cipher.open_into(nonce, aad, sealed, out), expected)


def written(out: bytearray, returned: int, expected: int) -> bytes:
    """The result in `out`, its length and the bytes behind it checked."""
    require(returned == expected, f"the returned length is {returned}, not {expected}")
    require(set(out[expected:]) == {FILL}, "bytes beyond the result were overwritten")
    return bytes(out[:expected])


def refuses_cleanly(cipher: Cipher, nonce: bytes, aad: bytes, sealed: bytes, what: str) -> None:
    """A forged record is refused, apart and in place, and leaves zeros."""
    length = max(len(sealed) - cipher.tag_size, 0)
    apart = bytearray([FILL]) * (length + SPARE)
    refuses(ForgedRecord, partial(cipher.open_into, nonce, aad, sealed, apart), what)
    in_place = bytearray(sealed)
    refuses(
        ForgedRecord,
        partial(cipher.open_into, nonce, aad, in_place, memoryview(in_place)[:length]),
        f"in place, {what}",
    )
    for out in (apart, in_place):
        require(not any(out[:length]), f"after {what}, unverified plaintext is left in the output")
    require(
        set(apart[length:]) == {FILL}, f"after {what}, bytes beyond the result were overwritten"
    )


def flipped(data: bytes) -> Iterator[bytes]:
    """`data` with each of its bits flipped, one at a time."""
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def around(size: int) -> tuple[int, ...]:
    """Lengths that are not `size`."""
    return (0, size - 1, size + 1, 2 * size)
