"""Wishes and safety numbers: what either end asks for holds for both, and nobody between shows both
people the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallow_core.errors import AuthenticationError
from tallow_core.protocol.codec.frame import Frame
from tallow_core.protocol.handshake.handshake_machine import Wish
from tallow_core.protocol.handshake.key_schedule import Schedule
from tallow_core.protocol.handshake.safety_number import safety_number, same_number
from tallow_core.types import Role
from tests.kit.machines import ANSWER, HELLO, converse, guest, host, schedules

WISHES = [Wish.NONE, Wish.PAD, Wish.SAFETY, Wish.PAD | Wish.SAFETY]


def schedule(seed: int = 0) -> Schedule:
    return Schedule("sha256", bytes(32), bytearray(seed.to_bytes(64, "big")), bytearray(32))


@pytest.mark.parametrize(("ours", "theirs"), list(product(WISHES, WISHES)))
def test_both_ends_know_what_either_asks(ours: Wish, theirs: Wish) -> None:
    a, b = converse(host(wishes=ours), guest(wishes=theirs))
    assert a.established is not None
    assert b.established is not None
    assert (
        (a.established.ours, a.established.theirs)
        == (ours, theirs)
        == (b.established.theirs, b.established.ours)
    )
    assert a.established.padded is b.established.padded is (Wish.PAD in ours or Wish.PAD in theirs)


def with_wishes(frame: Frame, wishes: int) -> bytes:
    """A Hello or Answer that asks for something else."""
    at = 5 + (35 if frame.type == HELLO else 33)
    return frame.encoded[:at] + bytes([wishes]) + frame.encoded[at + 1 :]


@pytest.mark.parametrize("kind", [HELLO, ANSWER], ids=lambda kind: kind.name)
@pytest.mark.parametrize("changed", [0, 1, 2, 0x80, 0xFF])
def test_t24_wishes_changed_on_the_way_never_yield_a_session(kind: int, changed: int) -> None:
    def wire(frame: Frame) -> Sequence[bytes]:
        return [with_wishes(frame, changed) if frame.type == kind else frame.encoded]

    both = Wish.PAD | Wish.SAFETY
    a, b = converse(host(wishes=both), guest(wishes=both), wire)
    assert a.established is None
    assert b.established is None
    assert isinstance(a.error, AuthenticationError)


@pytest.mark.parametrize("bits", [0x04, 0x80, 0xFC])
def test_unknown_wishes_are_ignored(bits: int) -> None:
    """A later version may ask for more: what is not known here does not hold, and does not end the
    session."""
    a, b = converse(host(wishes=Wish.PAD | Wish(bits)), guest(wishes=Wish(bits)))
    assert a.established is not None
    assert b.established is not None
    assert (b.established.theirs, a.established.theirs) == (Wish.PAD, Wish.NONE)


def test_both_ends_have_both_numbers_and_they_differ() -> None:
    a, b = schedules()
    numbers = [safety_number(a, role) for role in Role]
    assert numbers == [safety_number(b, role) for role in Role]
    assert len(set(numbers)) == 2
    assert all(re.fullmatch(r"[0-9]{5} [0-9]{5} [0-9]{5}", number) for number in numbers)


def test_two_sessions_have_other_numbers() -> None:
    """Somebody between who knows the code has a session with each end."""
    numbers = {
        safety_number(each, role) for each in (*schedules()[:1], *schedules()[:1]) for role in Role
    }
    assert len(numbers) == 4


def test_small_numbers_keep_their_zeros() -> None:
    found = [
        number
        for number in (safety_number(schedule(seed), Role.HOST) for seed in range(400))
        if number.startswith("0")
    ]
    assert 20 <= len(found) <= 60
    assert all(len(number) == 17 for number in found)


def test_a_rekey_gives_other_numbers() -> None:
    """So they are taken when the session begins."""
    ours = schedule()
    before = safety_number(ours, Role.HOST)
    ours.renew(bytearray(32), b"messages")
    assert safety_number(ours, Role.HOST) != before


NUMBER = "12345 67890 00042"


@pytest.mark.parametrize(
    "typed",
    [
        NUMBER,
        "123456789000042",
        "12345-67890-00042",
        " 12345\t67890  00042 ",
        "1-2-3-4-5 67890 00042",
    ],
)
def test_spaces_and_hyphens_do_not_matter(typed: str) -> None:
    assert same_number(typed, NUMBER)


OTHERS = [
    "",
    "0",
    "12345 67890",
    "12345 67890 00043",
    NUMBER + "0",
    "0" + NUMBER,
    NUMBER.replace("0", "\uff10"),
    NUMBER.replace(" ", "."),
]


@pytest.mark.parametrize("typed", OTHERS)
def test_anything_else_is_another_number(typed: str) -> None:
    assert not same_number(typed, NUMBER)


@given(st.text())
def test_whatever_is_typed_is_compared(typed: str) -> None:
    assert same_number(typed, NUMBER) is (re.sub(r"[\s-]", "", typed) == NUMBER.replace(" ", ""))
