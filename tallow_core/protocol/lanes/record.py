"""Sealed records of one lane: counter nonces, keys per direction and epoch, an authenticated end.

record = length[4] || ciphertext; the first plaintext byte is the type, its top bit the final flag.
AD = length[4] || lane id[4] || direction[1] || epoch[4] || counter[8]; nonce = IV xor the
left-padded counter. Epoch and counter do not travel: both ends count, so a record that was dropped,
repeated, reordered, reflected or moved to another lane does not verify. An epoch has at most 2^16
records, or the cipher's own limit if that is less. Then both ends derive the next secret, without a
message.

With padding, every plaintext is type || body || zeros || length of the body[4], and a record has
one of the lengths below (docs/protocol/lanes.md).
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

from tallow_core.errors import ForgedRecord, LocalProtocolError
from tallow_core.protocol.codec.wire import malformed
from tallow_core.protocol.handshake.key_schedule import IV, KEY, NEXT, expand
from tallow_core.secrets import wipe
from tallow_core.spi.cipher import Cipher
from tallow_core.types import Role

LENGTH = Struct(">I")
_AD = Struct(">IIBIQ")
_BODY = Struct(">I")

EPOCH_RECORDS = 1 << 16
MAX_CONTROL_RECORD_BYTES = 64 * 1024
MAX_DATA_RECORD_BYTES = (1 << 20) + 64
"""The most bytes of a record's ciphertext, by lane. A longer one is refused before anything is
allocated."""

PADDED_CONTROL = (256, 4096, MAX_CONTROL_RECORD_BYTES)
PADDED_DATA = (MAX_DATA_RECORD_BYTES,)
"""The lengths of padded records' ciphertexts: DATA has one length, every other type the least that
holds it."""

FINAL = 0x80
PADDED = 0x40


class RecordType(IntEnum):
    """Numbers of record types; never reused. The top bit is the final flag, the next bit marks a
    padded record."""

    OFFER_PAGE = 0x01
    ACCEPT = 0x02
    REFUSE = 0x03
    RECEIVED = 0x04
    CLOSE = 0x05
    ERROR = 0x06
    PING = 0x07
    REKEY = 0x08
    REKEY_ANSWER = 0x09
    EPOCH = 0x0A
    REKEY_WANTED = 0x0B
    DATA = 0x10
    RESUME = 0x18
    RESUMED = 0x19
    HAVE = 0x1A
    CANDIDATES = 0x20
    ACK = 0x21
    LOST = 0x22
    MOVED = 0x23
    LANES_WANTED = 0x24
    LANES = 0x25
    SPREAD = 0x26
    GIVEN_UP = 0x27
    SIGNAL = 0x28


def direction_of(sender: Role) -> int:
    """The direction byte: 0 from the host, 1 from the guest."""
    return 0 if sender is Role.HOST else 1


class Half:
    """One direction of one lane: the keys of the current epoch and the counters, equal at both
    ends. `padded`: every record is padded."""

    def __init__(
        self,
        cipher: type[Cipher],
        kdf: str,
        lane: int,
        sender: Role,
        secret: bytearray,
        *,
        padded: bool = False,
    ) -> None:
        self._cipher_class = cipher
        self._kdf = kdf
        self._lane = lane
        self._direction = direction_of(sender)
        self._limit = min(EPOCH_RECORDS, cipher.max_records)
        self._secret = secret
        self._cipher: Cipher | None = None
        self._iv = 0
        self._iv_size = cipher.nonce_size
        self._padded = padded
        self.epoch = 0
        self.finished = False
        self.total = 0
        self._start()

    @property
    def overhead(self) -> int:
        """Bytes that sealing adds: the tag."""
        return self._cipher_class.tag_size

    def renew(self, secret: bytearray) -> None:
        """Begin a new epoch from `secret`, the lane's secret under a new root."""
        wipe(self._secret)
        self._secret = secret
        self.epoch += 1
        self._start()

    def wipe(self) -> None:
        """Drop all keys."""
        wipe(self._secret)
        if self._cipher is not None:
            self._cipher.wipe()
        self._cipher = None

    def _start(self) -> None:
        if self._cipher is not None:
            self._cipher.wipe()
        key = expand(self._kdf, self._secret, self._cipher_class.key_size, KEY)
        iv = expand(self._kdf, self._secret, self._iv_size, IV)
        self._cipher = self._cipher_class(key)
        self._iv = int.from_bytes(iv, "big")
        wipe(key, iv)
        self._counter = 0
        self._bytes = 0

    def _next(self, length: int) -> tuple[Cipher, bytes, bytes]:
        """The cipher, nonce and AD for a record of `length` ciphertext bytes. Each call uses up one
        pair of key and nonce."""
        if self._cipher is None:
            raise LocalProtocolError("the keys of this lane were dropped")
        size = length - self.overhead
        if self._counter >= self._limit or self._bytes + size > self._cipher_class.max_bytes:
            self.renew(expand(self._kdf, self._secret, len(self._secret), NEXT))
        nonce = (self._iv ^ self._counter).to_bytes(self._iv_size, "big")
        aad = _AD.pack(length, self._lane, self._direction, self.epoch, self._counter)
        self._counter += 1
        self._bytes += size
        self.total += size
        return self._cipher, nonce, aad


class Sealer(Half):
    """The sending half."""

    def seal(self, raw: memoryview, size: int) -> int:
        """Seal `raw[:size]` (type byte first) in place; `raw` has room for padding and tag. Returns
        the ciphertext's length."""
        if self.finished:
            raise LocalProtocolError("a record after the final one")
        self.finished = bool(raw[0] & FINAL)
        if self._padded:
            size = self._pad(raw, size)
        cipher, nonce, aad = self._next(size + self.overhead)
        return cipher.seal_into(nonce, aad, raw[:size], raw[: size + self.overhead])

    def _pad(self, raw: memoryview, used: int) -> int:
        """Write the padding behind `raw[:used]`; returns the size of the whole plaintext."""
        size = padded_length(raw[0], used, self.overhead) - self.overhead
        if size < used:
            raise LocalProtocolError(f"a record of {used} bytes, too long to be padded")
        raw[0] |= PADDED
        wipe(raw[used : size - _BODY.size])
        _BODY.pack_into(raw, size - _BODY.size, used - 1)
        return size


class Opener(Half):
    """The receiving half."""

    def open(self, raw: memoryview) -> memoryview:
        """Open the record `raw` in place and return its plaintext without padding: the type byte,
        with the final flag, and the body.

        Raises `ForgedRecord` (the plaintext is wiped) or `RemoteProtocolError`. The lane cannot be
        used after that.
        """
        if self.finished:
            raise malformed("a record after the final one")
        size = len(raw) - self.overhead
        if size < 1:
            raise ForgedRecord(
                "a record is too short to hold anything: it was changed on the way; start the"
                " transfer again"
            )
        cipher, nonce, aad = self._next(len(raw))
        try:
            cipher.open_into(nonce, aad, raw, raw[:size])
        except ForgedRecord:
            wipe(raw[:size])
            self.wipe()
            raise
        if bool(raw[0] & PADDED) is not self._padded:
            raise malformed(
                "an unpadded record where padding was agreed"
                if self._padded
                else "a padded record that was not agreed"
            )
        if self._padded:
            size = self._unpad(raw, size)
        self.finished = bool(raw[0] & FINAL)
        return raw[:size]

    def _unpad(self, raw: memoryview, size: int) -> int:
        """Check every byte of the padding of `raw[:size]` and clear the flag. Returns the size of
        type and body."""
        if size <= _BODY.size:
            raise malformed("a padded record too short to hold its length")
        end = size - _BODY.size
        used = 1 + int(_BODY.unpack_from(raw, end)[0])
        if padded_length(raw[0], used, self.overhead) != len(raw) or bytes(raw[used:end]) != bytes(
            end - used
        ):
            raise malformed("a record padded in another way than agreed")
        raw[0] &= ~PADDED & 0xFF
        return used


def padded_length(first: int, used: int, overhead: int) -> int:
    """The ciphertext's length of a padded record whose plaintext begins with the byte `first` and
    has `used` bytes of type and body; 0 if it is too long for any."""
    lengths = PADDED_DATA if first & ~(FINAL | PADDED) == RecordType.DATA else PADDED_CONTROL
    return next((length for length in lengths if used + _BODY.size + overhead <= length), 0)


def record_length(header: bytes | bytearray | memoryview, cap: int) -> int:
    """The ciphertext's length from its four bytes. Raises `ForgedRecord` outside 1 to `cap`,
    because these bytes are in clear and a third party may have changed them."""
    (length,) = LENGTH.unpack(header)
    if not 1 <= length <= cap:
        raise ForgedRecord(
            f"the other side, or someone between, sent a record of {length} bytes, outside 1 to"
            f" {cap}; try again"
        )
    assert isinstance(length, int)
    return length
