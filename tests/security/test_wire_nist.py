"""T-26: under `profile = "nist"` a session uses AES-256-GCM, ML-KEM-1024 and SHA3-256, and nothing
else but the code's PAKE.

The receiver here is written from docs/protocol alone, with no code of Tallow, and has no other
algorithm to offer: ML-KEM-1024 of `pqcrypto`, AES-256-GCM of `cryptography`, SHA3-256 of `hashlib`,
HMAC and HKDF written out, and CPace of `cpace`; it unpacks nothing. Whatever else a sender under
this profile used, a confirmation, a record or a hash would not fit.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from cpace import CPace, CPaceRole
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pqcrypto.kem import ml_kem_1024  # type: ignore[import-untyped]

from tests.kit.lab import Lab

NAMEPLATE, WORDS = b"4821", b"stamp-daybreak-kindred"
OFFER = {
    "kem": b"ml-kem-1024",
    "cipher": b"aes-256-gcm",
    "hash": b"sha3-256",
    "authenticator": b"cpace",
    "compressor": b"none",
}
COMPRESSORS = ["zstd", "none"]
"""The profile says nothing of them."""
SIZES = (1568, 1568, 32, 32, 12, 16, 32, 32)
DATA, CLOSE, RECEIVED, ACCEPT, OFFER_PAGE, PING = 0x10, 0x05, 0x04, 0x02, 0x01, 0x07
FINAL = 0x80


def lv(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def text8(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha3_256).digest()


def expand(secret: bytes, length: int, label: bytes, *context: bytes) -> bytes:
    """HKDF-Expand (RFC 5869 section 2.3) over SHA3-256."""
    info, block, out, count = lv(b"tallow/1") + lv(label) + b"".join(map(lv, context)), b"", b"", 0
    while len(out) < length:
        count += 1
        block = mac(secret, block + info + bytes([count]))
        out += block
    return out[:length]


def digest(context: bytes, data: bytes) -> bytes:
    """SHA3-256 in a domain: docs/protocol/handshake.md, Drivers of this version."""
    block = lv(context)
    return hashlib.sha3_256(block + bytes(-len(block) % 136) + data).digest()


class Line:
    """A connection that keeps what it received."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.received = bytearray()

    def take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            assert more, "the sender hung up"
            data += more
        self.received += data
        return data

    def frame(self) -> tuple[int, bytes, bytes]:
        head = self.take(5)
        body = self.take(int.from_bytes(head[1:], "big"))
        return head[0], body, head + body

    def put(self, kind: int, body: bytes) -> bytes:
        frame = bytes([kind]) + lv(body)
        self.socket.sendall(frame)
        return frame


class Lane:
    """One direction each of sealed records: AES-256-GCM under keys from HKDF over SHA3-256."""

    def __init__(self, line: Line, number: int, from_host: bytes, from_guest: bytes) -> None:
        self.line, self.number = line, number
        self.secrets = from_host, from_guest
        self.counters = [0, 0]

    def _parts(self, direction: int, length: int) -> tuple[AESGCM, bytes, bytes]:
        counter, secret = self.counters[direction], self.secrets[direction]
        self.counters[direction] += 1
        key, iv = expand(secret, 32, b"key"), expand(secret, 12, b"iv")
        nonce = (int.from_bytes(iv, "big") ^ counter).to_bytes(12, "big")
        aad = (
            length.to_bytes(4, "big")
            + self.number.to_bytes(4, "big")
            + bytes([direction])
            + bytes(4)
            + counter.to_bytes(8, "big")
        )
        return AESGCM(key), nonce, aad

    def receive(self) -> tuple[int, bytes]:
        while True:
            length = int.from_bytes(self.line.take(4), "big")
            cipher, nonce, aad = self._parts(0, length)
            plain = cipher.decrypt(nonce, self.line.take(length), aad)
            if plain[0] != PING:
                return plain[0], plain[1:]

    def send(self, kind: int, body: bytes = b"") -> None:
        length = 1 + len(body) + 16
        cipher, nonce, aad = self._parts(1, length)
        self.line.socket.sendall(lv(cipher.encrypt(nonce, bytes([kind]) + body, aad)))


class Guest:
    """The whole session."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self.port = port
        self.stack = stack
        self.line = self.dial()
        self.hello = b""

    def dial(self) -> Line:
        line = Line(self.port)
        self.stack.enter_context(line.socket)
        return line

    def shake(self) -> None:
        self.line.put(0x01, b"tallow" + bytes([1, 0]) + bytes(4) + text8(NAMEPLATE))
        kind, hello, hello_frame = self.line.frame()
        assert kind == 0x02
        self.hello = hello
        count = hello[0]
        random_a, random_b = hello[1 + count : 33 + count], os.urandom(32)
        offer = b"".join(b"\1" + text8(name) for name in OFFER.values())
        public, private = ml_kem_1024.keygen()
        channel = lv(b"tallow/1") + lv(NAMEPLATE)
        pake = CPace.start(
            role=CPaceRole.INITIATOR, prs=WORDS, sid=random_a + random_b, ci=channel, ad=b"guest"
        )
        answer = (
            b"\1"
            + random_b
            + b"\0"
            + offer
            + b"".join(map(text8, OFFER.values()))
            + b"".join(n.to_bytes(2, "big") for n in SIZES)
        )
        answer_frame = self.line.put(0x03, answer + bytes(public) + pake.public_share)
        kind, share, share_frame = self.line.frame()
        assert kind == 0x04, f"the sender answered with frame {kind:#04x}"
        secret = bytes(ml_kem_1024.decaps(private, share[:1568]))
        pake.derive(share[1568:], b"host")
        self.transcript = hashlib.sha3_256(
            lv(b"tallow/1 transcript") + lv(NAMEPLATE) + hello_frame + answer_frame + share_frame
        ).digest()
        self.root = mac(self.transcript, lv(bytes(pake.isk)) + lv(secret))
        proof = mac(self.key(b"confirm guest"), self.transcript)
        self.line.put(0x05, proof)
        kind, done, _ = self.line.frame()
        assert (kind, done) == (0x06, mac(self.key(b"confirm host"), self.transcript + proof))
        self.control = Lane(self.line, 0, self.key(b"control", b"\0"), self.key(b"control", b"\1"))

    def key(self, label: bytes, *context: bytes, length: int = 32) -> bytes:
        return expand(self.root, length, label, *context)

    def data_lane(self) -> Lane:
        line, random_d = self.dial(), os.urandom(32)
        line.put(0x01, b"tallow" + bytes([1, 1]) + bytes(4) + text8(NAMEPLATE))
        hello = line.put(0x10, self.key(b"lane tag", length=16) + (1).to_bytes(4, "big") + random_d)
        kind, accept, _ = line.frame()
        random_a = accept[:32]
        bound = hashlib.sha3_256(hello + random_a).digest()
        assert (kind, accept[32:]) == (0x11, mac(self.key(b"lane acceptor"), bound))
        line.put(0x12, mac(self.key(b"lane dialler"), bound))
        secrets = [
            self.key(b"lane", (1).to_bytes(4, "big"), random_d, random_a, direction)
            for direction in (b"\0", b"\1")
        ]
        return Lane(line, 1, *secrets)


def offered(hello: bytes) -> list[list[str]]:
    """The names that Hello lists, kind by kind."""
    at, kinds = 1 + hello[0] + 32 + 1 + 1, []
    while at < len(hello):
        count, at = hello[at], at + 1
        names = []
        for _ in range(count):
            names.append(hello[at + 1 : at + 1 + hello[at]].decode())
            at += 1 + hello[at]
        kinds.append(names)
    return kinds


@pytest.mark.parametrize("size", [0, 5, 5_000_000])
def test_a_receiver_with_these_algorithms_alone_gets_the_file(lab: Lab, size: int) -> None:
    ann = lab.place()
    ann.configure('[policy]\nprofile = "nist"\n')
    content = os.urandom(size)
    (ann.work / "file").write_bytes(content)
    code = (NAMEPLATE + b"-" + WORDS).decode()
    sender = lab.send(ann, "file", "--listen", "tcp://127.0.0.1:0", env={"TALLOW_CODE": code})
    with ExitStack() as stack:
        guest = Guest(int(sender.event("code")["listen"][0].rpartition(":")[2]), stack)
        guest.shake()
        *algorithms, compressors = offered(guest.hello)
        assert compressors == COMPRESSORS
        assert algorithms == [[name.decode()] for name in OFFER.values()][:-1], (
            "another algorithm is offered"
        )
        segment_size = _offer(guest, size)
        guest.control.send(ACCEPT)
        lane = guest.data_lane()
        got, file_hash = _content(lane)
        assert got == content
        segments = b"".join(
            digest(b"tallow/1 segment", content[at : at + segment_size])
            for at in range(0, size, segment_size)
        )
        assert file_hash == digest(
            b"tallow/1 file", size.to_bytes(8, "big") + segment_size.to_bytes(4, "big") + segments
        )
        lane.send(CLOSE | FINAL)
        guest.control.send(
            RECEIVED | FINAL,
            (1).to_bytes(4, "big")
            + size.to_bytes(8, "big")
            + digest(b"tallow/1 receipt", file_hash),
        )
        assert guest.control.receive()[0] == CLOSE | FINAL
    sender.ends(0)
    assert sender.named("suite")[0] == {"event": "suite", "v": 1} | {
        kind: name.decode() for kind, name in OFFER.items()
    }


def _offer(guest: Guest, size: int) -> int:
    """Read the one page of the offer and check its hash; returns the segment size."""
    kind, page = guest.control.receive()
    assert kind == OFFER_PAGE
    assert page[:6] == bytes([0, 0, 0, 0, 1, 0])
    entries, manifest = page[28:-52], page[-32:]
    assert manifest == digest(b"tallow/1 manifest", entries)
    assert page[-40:-32] == size.to_bytes(8, "big")
    return int.from_bytes(page[22:26], "big")


def _content(lane: Lane) -> tuple[bytes, bytes]:
    content, file_hash, kind = bytearray(), b"", 0
    while not kind & FINAL:
        kind, body = lane.receive()
        assert kind & ~FINAL == DATA
        while body:
            if body[0] == 0x01:
                length = int.from_bytes(body[13:17], "big")
                assert int.from_bytes(body[5:13], "big") == len(content)
                content += body[17 : 17 + length]
                body = body[17 + length :]
            else:
                assert body[0] == 0x02
                file_hash, body = body[13:45], body[45:]
    return bytes(content), file_hash


@pytest.mark.parametrize("end", ["sender", "receiver", "both"])
def test_either_end_can_ask_for_it(lab: Lab, end: str, tmp_path: Path) -> None:
    ann, bob = lab.pair()
    for name, place in (("sender", ann), ("receiver", bob)):
        if end in (name, "both"):
            place.configure('[policy]\nprofile = "nist"\n')
    (ann.work / "file").write_text("content")
    sender = lab.send(ann, "file")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("suite")[0] == {"event": "suite", "v": 1} | {
        kind: name.decode() for kind, name in OFFER.items()
    } | {"compressor": "zstd"}
