"""Stand-ins for a test: a cipher that remembers its nonces, randomness that can be repeated, a
clock that is set by hand."""

from __future__ import annotations

import hashlib
from itertools import count

from tallow_core.secrets import Rng
from tallow_core.spi.cipher import Cipher
from tallow_core.testing.expect import ConformanceError
from tallow_core.types import ReadBuffer, WriteBuffer


class NonceLedger:
    """Every (key, nonce) that was sealed, over all ciphers that share this ledger: T-33."""

    def __init__(self) -> None:
        self.pairs: set[tuple[bytes, bytes]] = set()

    def enter(self, key: bytes, nonce: bytes) -> None:
        """Remember the pair; one that is there already is a `ConformanceError`."""
        if (key, nonce) in self.pairs:
            raise ConformanceError(f"nonce {nonce.hex()} was sealed twice under one key")
        self.pairs.add((key, nonce))


def recording(cipher: type[Cipher], ledger: NonceLedger) -> type[Cipher]:
    """A cipher with the name, sizes and bytes of `cipher` that enters each record it has sealed
    into `ledger`."""

    class RecordingCipher(Cipher):
        name = cipher.name
        labels = cipher.labels
        preference = cipher.preference
        key_size = cipher.key_size
        nonce_size = cipher.nonce_size
        tag_size = cipher.tag_size
        max_records = cipher.max_records
        max_bytes = cipher.max_bytes

        def __init__(self, key: ReadBuffer) -> None:
            self._inner = cipher(key)
            self._key = bytes(key)

        def seal_into(
            self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
        ) -> int:
            length = self._inner.seal_into(nonce, aad, plaintext, out)
            ledger.enter(self._key, bytes(nonce))
            return length

        def open_into(
            self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
        ) -> int:
            return self._inner.open_into(nonce, aad, ciphertext, out)

        def wipe(self) -> None:
            self._inner.wipe()

    return RecordingCipher


def seeded_rng(seed: bytes) -> Rng:
    """A source of bytes that `seed` determines: the n-th call gives SHAKE-256(n as 8 bytes ||
    seed). For tests only."""
    calls = count()

    def draw(n: int, /) -> bytes:
        return hashlib.shake_256(next(calls).to_bytes(8, "big") + seed).digest(n)

    return draw


class FakeClock:
    """A clock in seconds that moves only by `advance`."""

    def __init__(self, start: float = 0.0) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move forward; a clock never goes back."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        self.now += seconds
