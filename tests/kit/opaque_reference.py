"""OPAQUE-3DH as RFC 9807 writes it, over ristretto255 as RFC 9496 does: slow, in variable time, and
independent of the driver's library.

Everything that is random is an argument, so that the published vectors can run, which the library
cannot.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
INVSQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578

Point = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T)."""


def magnitude(x: int) -> int:
    x %= P
    return P - x if x & 1 else x


def sqrt_ratio(u: int, v: int) -> tuple[bool, int]:
    """RFC 9496 section 4.2: whether u/v is a square, and the root of it or of sqrt(-1) * u/v."""
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P) % P, (P - 5) // 8, P) % P
    check = v * r * r % P
    if check in (-u % P, -u * SQRT_M1 % P):
        r = r * SQRT_M1 % P
    return check in (u % P, -u % P), magnitude(r)


def decode(data: bytes) -> Point:
    s = int.from_bytes(data, "little")
    assert len(data) == 32
    assert s < P
    assert not s & 1
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, root = sqrt_ratio(1, v * u2 * u2 % P)
    den_x = root * u2 % P
    x, y = magnitude(2 * s * den_x), u1 * root * den_x * v % P
    assert square
    assert y
    assert not x * y % P & 1
    return x, y, 1, x * y % P


def encode(point: Point) -> bytes:
    x, y, z, t = point
    u1, u2 = (z + y) * (z - y) % P, x * y % P
    _, root = sqrt_ratio(1, u1 * u2 * u2 % P)
    den1, den2 = root * u1 % P, root * u2 % P
    inverse = den1 * den2 * t % P
    if t * inverse % P & 1:
        x, y, den2 = y * SQRT_M1 % P, x * SQRT_M1 % P, den1 * INVSQRT_A_MINUS_D % P
    if x * inverse % P & 1:
        y = -y % P
    return magnitude(den2 * (z - y)).to_bytes(32, "little")


def add(a: Point, b: Point) -> Point:
    e, g = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = g - e, d - c, d + c, g + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


BASE = decode(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))


def element(data: bytes) -> Point:
    """RFC 9496 section 4.3.4: 64 uniform bytes to an element."""
    return add(*(_mapped(int.from_bytes(data[i : i + 32], "little") % 2**255) for i in (0, 32)))


def _mapped(t: int) -> Point:
    r = SQRT_M1 * t * t % P
    u, v = (r + 1) * (1 - D * D) % P, (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    s, c = (s, -1) if square else (-magnitude(s * t), r)
    n = (c * (r - 1) * (D - 1) ** 2 - v) % P
    w0, w1, w2, w3 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P, (1 - s * s) % P, (1 + s * s) % P
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


CONTEXT = b"OPRFV1-\0-ristretto255-SHA512"


def two(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def uniform(message: bytes, dst: bytes) -> bytes:
    """expand_message_xmd of RFC 9380 section 5.3.1 with SHA-512, for 64 bytes."""
    tail = dst + bytes([len(dst)])
    first = hashlib.sha512(bytes(128) + message + b"\0\x40\0" + tail).digest()
    return hashlib.sha512(first + b"\1" + tail).digest()


def key_pair(seed: bytes, info: bytes) -> tuple[int, bytes]:
    """DeriveKeyPair of RFC 9497 section 3.2.1 (a zero key, which would be drawn again, does not
    happen)."""
    private = (
        int.from_bytes(uniform(seed + two(info) + b"\0", b"DeriveKeyPair" + CONTEXT), "little")
        % ORDER
    )
    return private, encode(multiply(private, BASE))


def dh_pair(seed: bytes) -> tuple[int, bytes]:
    return key_pair(seed, b"OPAQUE-DeriveDiffieHellmanKeyPair")


def extract(secret: bytes) -> bytes:
    return hmac.digest(bytes(64), secret, "sha512")


def expand(secret: bytes, info: bytes, length: int = 64) -> bytes:
    return HKDFExpand(SHA512(), length, info).derive(secret)


def derive(secret: bytes, label: bytes, transcript: bytes) -> bytes:
    label = b"OPAQUE-" + label
    return expand(
        secret, b"\0\x40" + bytes([len(label)]) + label + bytes([len(transcript)]) + transcript
    )


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def scalar(data: bytes) -> int:
    return int.from_bytes(data, "little") % ORDER


def keys(shared: bytes, preamble: bytes) -> tuple[bytes, bytes, bytes]:
    """Server MAC, client MAC and session key (RFC 9807 section 6.4)."""
    secret, digest = extract(shared), hashlib.sha512(preamble).digest()
    handshake = derive(secret, b"HandshakeSecret", digest)
    server_mac = hmac.digest(derive(handshake, b"ServerMAC", b""), digest, "sha512")
    client_mac = hmac.digest(
        derive(handshake, b"ClientMAC", b""),
        hashlib.sha512(preamble + server_mac).digest(),
        "sha512",
    )
    return server_mac, client_mac, derive(secret, b"SessionKey", digest)


def preamble(
    context: bytes, client: bytes, request: bytes, server: bytes, response: bytes
) -> bytes:
    """`response` without its MAC."""
    return b"OPAQUEv1-" + two(context) + two(client) + request + two(server) + response


@dataclass
class Client:
    """A client; `stretch` is the key stretching function."""

    password: bytes
    stretch: Callable[[bytes], bytes]
    context: bytes = b""

    def blinded(self, blind: bytes) -> bytes:
        return encode(
            multiply(scalar(blind), element(uniform(self.password, b"HashToGroup-" + CONTEXT)))
        )

    def randomized(self, blind: bytes, evaluated: bytes) -> bytes:
        unblinded = encode(multiply(pow(scalar(blind), -1, ORDER), decode(evaluated)))
        output = hashlib.sha512(two(self.password) + two(unblinded) + b"Finalize").digest()
        return extract(output + self.stretch(output))

    def upload(self, blind: bytes, response: bytes, nonce: bytes) -> tuple[bytes, bytes]:
        """The upload of a registration, and the export key."""
        password, server = self.randomized(blind, response[:32]), response[32:]
        _, public = dh_pair(expand(password, nonce + b"PrivateKey", 32))
        tag = hmac.digest(
            expand(password, nonce + b"AuthKey"),
            nonce + server + two(server) + two(public),
            "sha512",
        )
        return public + expand(password, b"MaskingKey") + nonce + tag, expand(
            password, nonce + b"ExportKey"
        )

    def request(self, blind: bytes, nonce: bytes, seed: bytes) -> bytes:
        return self.blinded(blind) + nonce + dh_pair(seed)[1]

    def finalize(
        self, blind: bytes, seed: bytes, request: bytes, response: bytes
    ) -> tuple[bytes, bytes, bytes]:
        """Finalization, session key and export key."""
        password = self.randomized(blind, response[:32])
        pad = expand(
            expand(password, b"MaskingKey"), response[32:64] + b"CredentialResponsePad", 128
        )
        opened = xor(pad, response[64:192])
        server, nonce, tag = opened[:32], opened[32:64], opened[64:]
        private, public = dh_pair(expand(password, nonce + b"PrivateKey", 32))
        expected = hmac.digest(
            expand(password, nonce + b"AuthKey"),
            nonce + server + two(server) + two(public),
            "sha512",
        )
        assert tag == expected, "the envelope does not open"
        ephemeral, theirs = dh_pair(seed)[0], response[224:256]
        shared = b"".join(
            encode(multiply(k, decode(point)))
            for k, point in ((ephemeral, theirs), (ephemeral, server), (private, theirs))
        )
        server_mac, client_mac, session_key = keys(
            shared, preamble(self.context, public, request, server, response[:256])
        )
        assert response[256:] == server_mac, "the server does not prove itself"
        return client_mac, session_key, expand(password, nonce + b"ExportKey")


@dataclass
class Server:
    """A server; identities are the public keys unless given."""

    oprf_seed: bytes
    private: bytes
    context: bytes = b""
    identities: tuple[bytes, bytes] | None = None

    @property
    def public(self) -> bytes:
        return encode(multiply(scalar(self.private), BASE))

    def evaluated(self, user: bytes, blinded: bytes) -> bytes:
        oprf_key, _ = key_pair(
            expand(self.oprf_seed, user + b"OprfKey", 32), b"OPAQUE-DeriveKeyPair"
        )
        return encode(multiply(oprf_key, decode(blinded)))

    def registration_response(self, user: bytes, request: bytes) -> bytes:
        return self.evaluated(user, request) + self.public

    def response(
        self,
        user: bytes,
        record: bytes,
        request: bytes,
        masking_nonce: bytes,
        nonce: bytes,
        seed: bytes,
    ) -> tuple[bytes, bytes, bytes]:
        """Response, the finalization that is due, and the session key."""
        client, masking_key, envelope = record[:32], record[32:96], record[96:]
        masked = xor(
            expand(masking_key, masking_nonce + b"CredentialResponsePad", 128),
            self.public + envelope,
        )
        ephemeral, share = dh_pair(seed)
        partial = self.evaluated(user, request[:32]) + masking_nonce + masked + nonce + share
        points = (
            (ephemeral, request[64:]),
            (scalar(self.private), request[64:]),
            (ephemeral, client),
        )
        shared = b"".join(encode(multiply(k, decode(point))) for k, point in points)
        client_id, server_id = self.identities or (client, self.public)
        server_mac, client_mac, session_key = keys(
            shared, preamble(self.context, client_id, request, server_id, partial)
        )
        return partial + server_mac, client_mac, session_key
