"""CPace: the kit, the draft's published run through the driver itself, and an independent
implementation as the other end."""

from __future__ import annotations

import hashlib
import secrets
from types import MappingProxyType
from typing import Any

import pytest

from tallow_core.errors import AuthenticationError
from tallow_core.testing.checks import code_checks as checks
from tallow_core.testing.vectors import published
from tallow_core.types import Role
from tallow_plugins.authenticators import cpace
from tallow_plugins.authenticators.cpace import Cpace

VECTORS = published("authenticator", "cpace")
RUN: MappingProxyType[str, bytes] = MappingProxyType(
    {name: bytes.fromhex(value) for name, value in VECTORS["run"].items()}
)
P = 2**255 - 19


@pytest.mark.parametrize("check", checks.CODE_CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: checks.Check) -> None:
    check(Cpace)


def test_the_module_offers_its_driver() -> None:
    assert list(cpace.tallow_offer_authenticator()) == [Cpace]


def published_end(role: Role, monkeypatch: pytest.MonkeyPatch) -> Cpace:
    """The driver as the draft's A (guest) or B (host): its scalar instead of randomness, its
    associated data."""
    monkeypatch.setattr(cpace, "_ASSOCIATED", {Role.GUEST: RUN["data_a"], Role.HOST: RUN["data_b"]})
    scalar = RUN["scalar_a" if role is Role.GUEST else "scalar_b"]
    with monkeypatch.context() as patch:
        patch.setattr(secrets, "token_bytes", lambda _size: scalar)
        return Cpace(role, RUN["password"], RUN["session_id"], RUN["channel"])


def test_the_driver_reproduces_the_published_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Appendix B.1.2, B.1.3 and B.1.5 of the draft: Ya, Yb and ISK_IR, on both ends."""
    guest, host = published_end(Role.GUEST, monkeypatch), published_end(Role.HOST, monkeypatch)
    assert guest.share == RUN["share_a"]
    assert host.share == RUN["share_b"]
    assert guest.finish(host.share) == host.finish(guest.share) == RUN["key"]


def ladder(scalar: bytes, u: bytes) -> bytes:
    """X25519 as RFC 7748 section 5 writes it."""
    k = int.from_bytes(scalar, "little") & ~(1 << 255) & ~7 | 1 << 254
    x1 = int.from_bytes(u, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for bit in reversed(range(255)):
        now = k >> bit & 1
        if swap ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def curve25519_point(field: int) -> bytes:
    """Elligator 2 in the form of RFC 9380 section 6.7.1, with Z = 2."""
    a = 486662
    x1 = -a * pow(1 + 2 * field * field, P - 2, P) % P
    on_curve = x1**3 + a * x1 * x1 + x1
    x = x1 if pow(on_curve, (P - 1) // 2, P) in (0, 1) else (-x1 - a) % P
    return x.to_bytes(32, "little")


def lv(*parts: bytes) -> bytes:
    """Each part after its length in one byte: LEB128 for parts below 128 bytes."""
    assert all(len(part) < 128 for part in parts)
    return b"".join(bytes([len(part)]) + part for part in parts)


def generator(password: bytes, channel: bytes, session_id: bytes) -> bytes:
    """The draft's calculate_generator: the password's block of SHA-512 is filled up with zeros."""
    padding = bytes(max(0, 128 - 1 - len(lv(password)) - len(lv(b"CPace255"))))
    digest = hashlib.sha512(lv(b"CPace255", password, padding, channel, session_id)).digest()
    return curve25519_point(int.from_bytes(digest[:32], "little") & ((1 << 255) - 1))


def test_the_independent_implementation_reproduces_the_published_run() -> None:
    point = generator(RUN["password"], RUN["channel"], RUN["session_id"])
    assert point == RUN["generator"]
    assert ladder(RUN["scalar_a"], point) == RUN["share_a"]
    assert ladder(RUN["scalar_b"], point) == RUN["share_b"]
    for point_hex, result in VECTORS["accepted"]["points"]:
        assert (
            ladder(bytes.fromhex(VECTORS["accepted"]["scalar"]), bytes.fromhex(point_hex)).hex()
            == result
        )


@pytest.mark.parametrize(
    "password",
    [b"stamp-daybreak-kindred", b"", b"x" * 120],
    ids=["words", "empty", "longer-than-a-block"],
)
@pytest.mark.parametrize("role", list(Role))
def test_an_independent_implementation_gets_the_same_key(role: Role, password: bytes) -> None:
    session_id, channel = bytes(range(64)), b"\0\0\0\x08tallow/1\0\0\0\x044821"
    ours = Cpace(role, password, session_id, channel)
    scalar = secrets.token_bytes(32)
    theirs = ladder(scalar, generator(password, channel, session_id))
    share_a, share_b = (ours.share, theirs) if role is Role.GUEST else (theirs, ours.share)
    transcript = lv(share_a, b"guest") + lv(share_b, b"host")
    expected = hashlib.sha512(
        lv(b"CPace255_ISK", session_id, ladder(scalar, ours.share)) + transcript
    ).digest()
    assert ours.finish(theirs) == expected


@pytest.mark.parametrize("point", [point for point, _ in VECTORS["accepted"]["points"]])
def test_points_that_only_look_low_are_taken(point: str) -> None:
    """Appendix B.1.10: the top bit is cleared, so these are ordinary points."""
    assert (
        len(Cpace(Role.GUEST, b"password", b"session", b"channel").finish(bytes.fromhex(point)))
        == 64
    )


def test_our_share_in_another_encoding_is_refused() -> None:
    run = Cpace(Role.GUEST, b"password", b"session", b"channel")
    disguised = bytearray(run.share)
    disguised[31] ^= 0x80
    with pytest.raises(AuthenticationError, match="our own key share"):
        run.finish(disguised)


def test_a_refusal_says_what_to_do_and_nothing_of_the_library() -> None:
    run: Any = Cpace(Role.HOST, b"password", b"session", b"channel")
    with pytest.raises(AuthenticationError, match="try again with a new code"):
        run.finish(bytes(32))
