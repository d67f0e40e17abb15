"""The largest drivers that the contracts allow fit the frames of the handshake."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from tallow_core.protocol.codec.frame import MAX_BODY_BYTES
from tallow_core.protocol.codec.wire import Writer
from tallow_core.protocol.handshake.suite_offer import Drivers, write_offer
from tallow_core.protocol.lanes.session_messages import Rekey, read_rekey
from tallow_core.secrets import system_rng
from tallow_core.spi.authenticator import MAX_SHARE_BYTES, CodeAuthenticator
from tallow_core.spi.kem import MAX_KEM_CIPHERTEXT_BYTES, MAX_KEM_PUBLIC_BYTES, Kem, KemPair
from tallow_core.types import ReadBuffer, Role
from tests.kit.machines import ANSWER, DEFAULT, FLIGHTS, SHARE, converse, guest, host

LONG_NAMES = [f"{'x' * 30}{number:02}" for number in range(16)]
"""As many names as an offer has, each as long as a name can be."""


class LargestKem(Kem):
    """No KEM, only its sizes: the ciphertext begins with the secret."""

    name: ClassVar[str] = LONG_NAMES[0]
    public_size: ClassVar[int] = MAX_KEM_PUBLIC_BYTES
    ciphertext_size: ClassVar[int] = MAX_KEM_CIPHERTEXT_BYTES
    shared_size: ClassVar[int] = 1024
    implicit_rejection: ClassVar[bool] = True

    @classmethod
    def generate(cls) -> KemPair:
        return KemPair(system_rng(cls.public_size), b"")

    @classmethod
    def encapsulate(cls, public: ReadBuffer) -> tuple[bytes, bytearray]:
        ciphertext = system_rng(cls.ciphertext_size)
        return ciphertext, bytearray(ciphertext[: cls.shared_size])

    @classmethod
    def decapsulate(cls, pair: KemPair, ciphertext: ReadBuffer) -> bytearray:
        return bytearray(ciphertext[: cls.shared_size])


class LargestShare(CodeAuthenticator):
    """No PAKE, only its sizes."""

    name: ClassVar[str] = LONG_NAMES[0]
    share_size: ClassVar[int] = MAX_SHARE_BYTES

    def __init__(self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes) -> None:
        self._key = bytes(session_id)

    @property
    def share(self) -> bytes:
        return system_rng(self.share_size)

    def finish(self, peer_share: ReadBuffer) -> bytearray:
        return bytearray(self._key)


FIRST: dict[str, type[Any]] = {kind: next(iter(all.values())) for kind, all in DEFAULT.items()}
LARGEST: Drivers = {
    kind: dict.fromkeys(LONG_NAMES, driver)
    for kind, driver in (FIRST | {"kem": LargestKem, "authenticator": LargestShare}).items()
}


def test_the_largest_drivers_and_the_longest_offer_fit_the_frames() -> None:
    a, b = converse(host(drivers=LARGEST), guest(drivers=LARGEST))
    assert a.established is not None
    assert b.established is not None
    sizes = {frame.type: len(frame.body) for end in (a, b) for frame in end.sent}
    assert set(sizes) == set(FLIGHTS)
    assert max(sizes.values()) <= MAX_BODY_BYTES
    # The maxima leave little room unused: a KEM is not refused without need.
    assert sizes[ANSWER] > MAX_BODY_BYTES - 512
    assert sizes[SHARE] == MAX_BODY_BYTES


def test_the_layout_gives_the_maximum_of_a_public_key() -> None:
    offer = Writer()
    write_offer(offer, {kind: tuple(drivers) for kind, drivers in LARGEST.items()})
    version, random, wishes, sizes = 1, 32, 1, 8 * 2
    suite = 5 * (1 + 32)
    fixed = version + random + wishes + len(offer.done()) + suite + sizes
    assert fixed + MAX_KEM_PUBLIC_BYTES + MAX_SHARE_BYTES <= MAX_BODY_BYTES
    assert MAX_KEM_CIPHERTEXT_BYTES + MAX_SHARE_BYTES <= MAX_BODY_BYTES


@pytest.mark.parametrize("size", [MAX_KEM_PUBLIC_BYTES, MAX_KEM_CIPHERTEXT_BYTES])
def test_the_largest_kem_can_rekey(size: int) -> None:
    rekey = Rekey(1, bytes(size))
    assert read_rekey(rekey.encoded()) == rekey
