"""The key schedule: all labels and context strings of the protocol, and all derivation of keys
(docs/protocol/handshake.md, "Keys").

HKDF is RFC 5869 over the hash H that belongs to the chosen hash driver; PRK = Extract(salt = TH,
IKM = lv(ISK) || lv(kem_secret)); K(label, context...) = Expand(PRK, lv("tallow/1") || lv(label) ||
lv(context)...).
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tallow_core.errors import LocalProtocolError
from tallow_core.protocol.codec.wire import lv
from tallow_core.secrets import wipe
from tallow_core.types import ReadBuffer

# All context strings are here, except those that a driver makes from its own name:
# "tallow/1 kem NAME" and "tallow/1 signature NAME".
PROTOCOL = b"tallow/1"
TRANSCRIPT = b"tallow/1 transcript"

CONFIRM = {"guest": b"confirm guest", "host": b"confirm host"}
CONTROL = b"control"
LANE = b"lane"
LANE_TAG = b"lane tag"
SAFETY = {"host": b"safety host", "guest": b"safety guest"}
LANE_MAC = {"dialler": b"lane dialler", "acceptor": b"lane acceptor"}
KEY, IV, NEXT = b"key", b"iv", b"next"
RESUME = b"resume"
RESUME_PROOF = {"sender": b"sender", "receiver": b"receiver"}
JOURNAL = b"journal"

FILE_CONTEXT = "tallow/1 file"
SEGMENT_CONTEXT = "tallow/1 segment"
MANIFEST_CONTEXT = "tallow/1 manifest"
RECEIPT_CONTEXT = "tallow/1 receipt"

_KDF: dict[str, type[hashes.HashAlgorithm]] = {"sha256": hashes.SHA256, "sha3_256": hashes.SHA3_256}


def hkdf_extract(kdf: str, salt: ReadBuffer, secret: ReadBuffer) -> bytearray:
    """HKDF-Extract (RFC 5869 section 2.2): the HMAC of `secret` under `salt`."""
    return bytearray(hmac.digest(salt, secret, kdf))


def hkdf_expand(kdf: str, secret: ReadBuffer, length: int, info: bytes) -> bytearray:
    """HKDF-Expand (RFC 5869 section 2.3); `length` is at most 255 digests."""
    return bytearray(HKDFExpand(_KDF[kdf](), length, info).derive(secret))


def expand(kdf: str, secret: ReadBuffer, length: int, label: bytes, *context: bytes) -> bytearray:
    """HKDF-Expand under `secret` with info = lv("tallow/1") || lv(label) || lv(context)..."""
    return hkdf_expand(
        kdf, secret, length, b"".join(lv(part) for part in (PROTOCOL, label, *context))
    )


def transcript_hash(kdf: str, nameplate: str, *frames: bytes) -> bytes:
    """TH = H(lv("tallow/1 transcript") || lv(nameplate) || Hello || Answer || Share), each frame as
    it travelled."""
    return hashlib.new(kdf, lv(TRANSCRIPT) + lv(nameplate.encode()) + b"".join(frames)).digest()


def resume_proof(kdf: str, secret: ReadBuffer, end: str, transcript: bytes) -> bytes:
    """HMAC(resume secret, end || TH). It proves that this end of the present session took part in
    an earlier transfer; `end` is "sender" or "receiver"."""
    return hmac.digest(secret, RESUME_PROOF[end] + transcript, kdf)


class Schedule:
    """The root secret (PRK) of a session, and the keys derived from it."""

    def __init__(self, kdf: str, transcript: bytes, isk: bytearray, kem_secret: bytearray) -> None:
        self.kdf = kdf
        self.transcript = transcript
        self._root = hkdf_extract(kdf, transcript, lv(isk) + lv(kem_secret))
        wipe(isk, kem_secret)

    def key(self, label: bytes, *context: bytes, length: int = 32) -> bytearray:
        """K(label, context...), `length` bytes.

        Raises `LocalProtocolError` after `wipe`, because anyone could derive keys from a root of
        zeros.
        """
        if not self._root:
            raise LocalProtocolError("the keys of this session were dropped")
        return expand(self.kdf, self._root, length, label, *context)

    def mac(self, label: bytes, message: bytes) -> bytes:
        """HMAC under K(label)."""
        key = self.key(label)
        try:
            return hmac.digest(key, message, self.kdf)
        finally:
            wipe(key)

    def confirmation_guest(self) -> bytes:
        """HMAC(K("confirm guest"), TH)."""
        return self.mac(CONFIRM["guest"], self.transcript)

    def confirmation_host(self, confirmation_guest: bytes) -> bytes:
        """HMAC(K("confirm host"), TH || confirmation_guest)."""
        return self.mac(CONFIRM["host"], self.transcript + confirmation_guest)

    def renew(self, kem_secret: bytearray, messages: bytes) -> None:
        """Rekey: root' = Extract(root, lv(kem_secret) || lv(H(messages))); `messages` are the
        bodies of Rekey and RekeyAnswer. Wipes the old root and `kem_secret`."""
        if not self._root:
            raise LocalProtocolError("the keys of this session were dropped")
        digest = hashlib.new(self.kdf, messages).digest()
        renewed = hkdf_extract(self.kdf, self._root, lv(kem_secret) + lv(digest))
        wipe(self._root, kem_secret)
        self._root = renewed

    def wipe(self) -> None:
        """Overwrite the root. No key can be derived after that."""
        wipe(self._root)
        self._root = bytearray()
