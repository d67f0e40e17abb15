"""The key schedule, computed a second time with hashlib and hmac alone, and a whole handshake as a
published vector."""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tallow_core.errors import LocalProtocolError
from tallow_core.protocol.codec.frame import Frame
from tallow_core.protocol.handshake import key_schedule as module
from tallow_core.protocol.handshake.code import parse_code
from tallow_core.protocol.handshake.key_schedule import Schedule, expand, transcript_hash
from tallow_core.protocol.handshake.safety_number import safety_number
from tallow_core.protocol.lanes.lane_join import CONTROL_KEYS, LaneKeys, lane_tag
from tallow_core.protocol.lanes.record import Sealer
from tallow_core.spi.kem import KemPair
from tallow_core.types import ReadBuffer, Role
from tallow_plugins.kems.x25519_ml_kem_1024 import X25519MlKem1024
from tests.kit.machines import (
    ANSWER,
    DEFAULT,
    FAST,
    HELLO,
    End,
    Sha3,
    converse,
    guest,
    host,
    lv,
    named,
    scripted_cpace,
)

VECTORS: MappingProxyType[str, Any] = MappingProxyType(
    json.loads((Path(__file__).parent / "vectors_schedule.json").read_text("ascii"))
)
FRAMES = [
    bytes.fromhex(VECTORS["frames"][name]) for name in ("hello", "answer", "share", "prove", "done")
]


def hkdf_expand(kdf: str, secret: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, section 2.3."""
    block, out = b"", b""
    while len(out) < length:
        block = hmac.digest(
            secret, block + info + bytes([len(out) // hashlib.new(kdf).digest_size + 1]), kdf
        )
        out += block
    return out[:length]


class Independent:
    """The schedule again, from the words of the specification."""

    def __init__(
        self, kdf: str, nameplate: str, frames: list[bytes], isk: bytes, kem_secret: bytes
    ) -> None:
        self.kdf = kdf
        self.th = hashlib.new(
            kdf, lv(b"tallow/1 transcript") + lv(nameplate.encode()) + b"".join(frames)
        ).digest()
        self.prk = hmac.digest(self.th, lv(isk) + lv(kem_secret), kdf)

    def k(self, label: bytes, *context: bytes, length: int = 32) -> bytes:
        """K(label, context...)."""
        return hkdf_expand(self.kdf, self.prk, lv(b"tallow/1", label, *context), length)

    def confirmations(self) -> tuple[bytes, bytes]:
        """Of the guest, and of the host."""
        of_guest = hmac.digest(self.k(b"confirm guest"), self.th, self.kdf)
        return of_guest, hmac.digest(self.k(b"confirm host"), self.th + of_guest, self.kdf)


def test_rfc_5869_first_case() -> None:
    """The test's own HKDF is right: appendix A.1 of the RFC."""
    prk = bytes.fromhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
    okm = hkdf_expand("sha256", prk, bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"), 42)
    assert (
        okm.hex()
        == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


@pytest.mark.parametrize("kdf", ["sha256", "sha3_256"])
def test_everything_that_is_derived(kdf: str) -> None:
    frames, isk, secret = [b"hello", b"answer", b"share"], bytes(range(64)), bytes(range(32))
    transcript = transcript_hash(kdf, "4821", *frames)
    ours = Schedule(kdf, transcript, bytearray(isk), bytearray(secret))
    theirs = Independent(kdf, "4821", frames, isk, secret)
    assert transcript == theirs.th
    assert ours.key(b"label", b"a", b"bc", length=100) == theirs.k(
        b"label", b"a", b"bc", length=100
    )
    assert ours.confirmation_guest() == theirs.confirmations()[0]
    assert ours.confirmation_host(ours.confirmation_guest()) == theirs.confirmations()[1]
    assert lane_tag(ours) == theirs.k(b"lane tag", length=16)
    for sender, direction in ((Role.HOST, b"\0"), (Role.GUEST, b"\1")):
        assert CONTROL_KEYS.secret(ours, sender) == theirs.k(b"control", direction)
        lane = LaneKeys(7, b"d" * 32, b"a" * 32)
        assert lane.secret(ours, sender) == theirs.k(
            b"lane", b"\0\0\0\7", b"d" * 32, b"a" * 32, direction
        )


@pytest.mark.parametrize("kdf", ["sha256", "sha3_256"])
def test_t25_a_rekey_replaces_the_root_and_wipes_the_old_one(kdf: str) -> None:
    ours = Schedule(kdf, bytes(32), bytearray(64), bytearray(32))
    old_root, before = ours._root, bytes(ours._root)
    fresh = bytearray(b"fresh KEM secret")
    ours.renew(fresh, b"Rekey and RekeyAnswer")
    digest = hashlib.new(kdf, b"Rekey and RekeyAnswer").digest()
    assert bytes(ours._root) == hmac.digest(before, lv(b"fresh KEM secret") + lv(digest), kdf)
    assert old_root == bytes(32)
    assert fresh == bytes(16)


def test_the_inputs_are_wiped() -> None:
    isk, secret = bytearray(b"i" * 64), bytearray(b"k" * 32)
    ours = Schedule("sha256", bytes(32), isk, secret)
    assert isk == bytes(64)
    assert secret == bytes(32)
    root = ours._root
    ours.wipe()
    assert not any(root)
    with pytest.raises(LocalProtocolError):
        ours.key(b"any")
    with pytest.raises(LocalProtocolError):
        ours.renew(bytearray(32), b"messages")


def test_no_part_of_the_input_can_move_into_its_neighbour() -> None:
    secret = bytes(32)
    assert expand("sha256", secret, 32, b"ab", b"c") != expand("sha256", secret, 32, b"a", b"bc")
    assert expand("sha256", secret, 32, b"a", b"") != expand("sha256", secret, 32, b"a")
    one = Schedule("sha256", bytes(32), bytearray(b"ab"), bytearray(b"c"))
    two = Schedule("sha256", bytes(32), bytearray(b"a"), bytearray(b"bc"))
    assert one.key(b"any") != two.key(b"any")
    assert transcript_hash("sha256", "4821", b"5") != transcript_hash("sha256", "48215", b"")


def test_labels_are_unique() -> None:
    """One label per purpose and direction: no two constants of the module are equal."""
    labels: list[bytes] = []
    for name, value in vars(module).items():
        if name.isupper() and not name.startswith("_"):
            values = list(value.values()) if isinstance(value, dict) else [value]
            labels += [each.encode() if isinstance(each, str) else each for each in values]
    assert len(labels) >= 15
    assert len(labels) == len(set(labels))


# -- a whole handshake ---------------------------------------------------------------------------


def of(name: str) -> bytes:
    """A value of the vector."""
    return bytes.fromhex(VECTORS[name])


class ScriptedKem(X25519MlKem1024):
    """The guest's pair comes from the vector's seed; the host's encapsulation is the recorded
    one."""

    @classmethod
    def generate(cls) -> KemPair:
        return cls.from_seed(of("kem_seed"))

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        assert bytes(public) == cls.generate().public
        return of("kem_ciphertext"), bytearray(of("kem_secret"))


def scripted(scalar: str) -> dict[str, Any]:
    """The default suite without randomness."""
    return {
        **DEFAULT,
        "kem": named(ScriptedKem),
        "authenticator": {"cpace": scripted_cpace(of(scalar))},
    }


@cache
def replayed() -> tuple[End, End]:
    """Host and guest of the vector."""
    code = parse_code(VECTORS["code"])
    a = host(code, scripted("scalar_host"), lambda _size: of("random_a"))
    b = guest(code, scripted("scalar_guest"), lambda _size: of("random_b"))
    return converse(a, b)


def test_the_machines_reproduce_the_recorded_frames() -> None:
    a, b = replayed()
    assert [
        frame.encoded for frame in (a.sent[0], b.sent[0], a.sent[1], b.sent[1], a.sent[2])
    ] == FRAMES


def test_the_recorded_frames_give_the_recorded_keys() -> None:
    """Nothing of the program is used here: what another implementation has to compute."""
    again = Independent("sha256", VECTORS["nameplate"], FRAMES[:3], of("isk"), of("kem_secret"))
    assert (again.th, again.prk) == (of("th"), of("prk"))
    assert again.confirmations() == (of("confirmation_guest"), of("confirmation_host"))
    assert FRAMES[3] == b"\x05\0\0\0\x20" + of("confirmation_guest")
    assert FRAMES[4] == b"\x06\0\0\0\x20" + of("confirmation_host")
    assert again.k(b"lane tag", length=16) == of("lane_tag")
    for direction, name in ((b"\0", "host"), (b"\1", "guest")):
        number = int.from_bytes(again.k(f"safety {name}".encode(), length=16), "big") % 10**15
        assert f"{number:015}" == VECTORS[f"safety_{name}"].replace(" ", "")
        secret = again.k(b"control", direction)
        assert secret == of(f"control_secret_{name}")
        assert hkdf_expand("sha256", secret, lv(b"tallow/1", b"key"), 32) == of(
            f"control_key_{name}"
        )
        assert hkdf_expand("sha256", secret, lv(b"tallow/1", b"iv"), 12) == of(f"control_iv_{name}")


def test_the_machines_derive_the_recorded_keys() -> None:
    for end in replayed():
        assert end.established is not None
        schedule = end.established.schedule
        assert schedule.transcript == of("th")
        assert schedule._root == of("prk")
        assert lane_tag(schedule) == of("lane_tag")
        assert [safety_number(schedule, role) for role in Role] == [
            VECTORS["safety_host"],
            VECTORS["safety_guest"],
        ]
        assert CONTROL_KEYS.secret(schedule, Role.HOST) == of("control_secret_host")
        assert CONTROL_KEYS.secret(schedule, Role.GUEST) == of("control_secret_guest")


def test_the_recorded_first_record() -> None:
    """PING from the host on the control lane, sealed with the recorded key."""
    a, _ = replayed()
    assert a.established is not None
    secret = CONTROL_KEYS.secret(a.established.schedule, Role.HOST)
    sealer = Sealer(a.established.cipher, "sha256", 0, Role.HOST, secret)
    raw = memoryview(bytearray(b"\x07" + bytes(16)))
    assert sealer.seal(raw, 1) == 17
    assert b"\0\0\0\x11" + bytes(raw) == of("first_record_host")


def test_h_follows_the_chosen_hash_driver() -> None:
    """With sha3-256 chosen, transcript and keys of both ends are of SHA3-256; recomputed from the
    frames that travelled."""
    drivers = {**FAST, "hash": named(Sha3)}
    a, b = converse(host(drivers=drivers), guest(drivers=drivers))
    assert a.established is not None
    assert b.established is not None
    frames = {frame.type: frame.encoded for frame in a.sent + b.sent}
    data = lv(b"tallow/1 transcript", b"4821") + frames[HELLO] + frames[ANSWER] + a.sent[1].encoded
    assert (
        a.established.schedule.transcript
        == hashlib.sha3_256(data).digest()
        == b.established.schedule.transcript
    )
    assert isinstance(a.sent[1], Frame)
