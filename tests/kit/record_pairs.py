"""A sealer and an opener that share a secret."""

from __future__ import annotations

import hashlib
import hmac

from tallow_core.protocol.lanes.record import (
    Opener,
    Sealer,
)
from tallow_core.spi.cipher import Cipher
from tallow_core.types import Role
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tests.kit.machines import lv

SECRET = bytes(range(32))


def pair(
    cipher: type[Cipher] = Aes256Gcm,
    lane: int = 0,
    sender: Role = Role.HOST,
    secret: bytes = SECRET,
    kdf: str = "sha256",
) -> tuple[Sealer, Opener]:
    """The two halves of one direction."""
    return Sealer(cipher, kdf, lane, sender, bytearray(secret)), Opener(
        cipher, kdf, lane, sender, bytearray(secret)
    )


def expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand for at most 32 bytes, written again."""
    return hmac.digest(secret, lv(b"tallow/1", label) + b"\x01", hashlib.sha256)[:length]
