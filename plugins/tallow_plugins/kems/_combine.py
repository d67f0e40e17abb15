"""The key derivation of a KEM that needs one. It binds the secret to everything that travelled."""

from __future__ import annotations

import hashlib

from tallow_core.types import ReadBuffer


def combine(driver: str, *parts: ReadBuffer) -> bytearray:
    """SHA3-256 over lv("tallow/1 kem " + driver) and lv of each part; lv(x) = length in four bytes,
    big-endian, then x."""
    digest = hashlib.sha3_256()
    for part in (b"tallow/1 kem " + driver.encode("ascii"), *parts):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return bytearray(digest.digest())
