"""What hosts, guests and relays say to each other, and the small sealed messages of a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallow_core.errors import RemoteProtocolError, UnreachableError
from tallow_core.protocol.codec.alert import Alert
from tallow_core.protocol.codec.frame import MAGIC, Frame, FrameType
from tallow_core.protocol.codec.wire import u32
from tallow_core.protocol.lanes.session_messages import (
    MAX_REASON_BYTES,
    Receipt,
    Rekey,
    clip,
    read_reason,
    read_receipt,
    read_rekey,
    write_reason,
)
from tallow_core.protocol.relay.relay_frames import (
    PING,
    PONG,
    SENTENCES,
    WAITING,
    GuestWaiting,
    OpenRoom,
    Refusal,
    RelayRefused,
    ResumeRoom,
    RoomOpened,
    TakeGuest,
    raise_refusal,
    read_guest,
    read_host_request,
    read_opened,
    refused,
)

TOKEN = bytes(range(32))
U32 = (1 << 32) - 1

REQUESTS: list[OpenRoom | ResumeRoom | TakeGuest] = [
    OpenRoom(None),
    OpenRoom("4821"),
    OpenRoom("1234567890"),
    ResumeRoom("4821", TOKEN),
    TakeGuest("4821", TOKEN, 0),
    TakeGuest("4821", TOKEN, U32),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_a_hosts_request_comes_back(request_: OpenRoom | ResumeRoom | TakeGuest) -> None:
    assert read_host_request(request_.frame()) == request_


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_t23_a_request_cut_short_or_grown_is_refused(
    request_: OpenRoom | ResumeRoom | TakeGuest,
) -> None:
    frame = request_.frame()
    for length in range(len(frame.body)):
        with pytest.raises(RemoteProtocolError):
            read_host_request(Frame(frame.type, frame.body[:length]))
    with pytest.raises(RemoteProtocolError):
        read_host_request(Frame(frame.type, frame.body + b"\0"))


NAMEPLATES = [
    b"0",
    b"123",
    b"0123",
    b"12345678901",
    b"12a4",
    b"4821\n",
    "\u0664\u0668\u0662\u0661".encode(),
    b"\xff\xff\xff\xff",
]


@pytest.mark.parametrize("nameplate", NAMEPLATES)
def test_t16_nameplates_out_of_bounds(nameplate: bytes) -> None:
    field = bytes([len(nameplate)]) + nameplate
    for kind, rest in (
        (FrameType.RELAY_OPEN, b""),
        (FrameType.RELAY_RESUME, TOKEN),
        (FrameType.RELAY_TAKE, TOKEN + u32(1)),
    ):
        with pytest.raises(RemoteProtocolError):
            read_host_request(Frame(kind, MAGIC + b"\x01" + field + rest))
    with pytest.raises(RemoteProtocolError):
        read_opened(Frame(FrameType.RELAY_OPENED, field + TOKEN))


def test_only_opening_goes_without_a_nameplate() -> None:
    for kind, rest in ((FrameType.RELAY_RESUME, TOKEN), (FrameType.RELAY_TAKE, TOKEN + u32(1))):
        with pytest.raises(RemoteProtocolError):
            read_host_request(Frame(kind, MAGIC + b"\x01\0" + rest))
    with pytest.raises(RemoteProtocolError):
        read_opened(Frame(FrameType.RELAY_OPENED, b"\0" + TOKEN))


def test_magic_and_version_of_a_request() -> None:
    body = OpenRoom("4821").frame().body
    with pytest.raises(RemoteProtocolError):
        read_host_request(Frame(FrameType.RELAY_OPEN, b"HELLO!" + body[6:]))
    for version in (0, 2, 255):
        with pytest.raises(RemoteProtocolError) as caught:
            read_host_request(Frame(FrameType.RELAY_OPEN, MAGIC + bytes([version]) + body[7:]))
        assert caught.value.alert == Alert.VERSION


@pytest.mark.parametrize(
    "kind", [0, 255, *(kind for kind in FrameType if kind not in (0x20, 0x23, 0x28))]
)
def test_t23_another_frame_is_no_request(kind: int) -> None:
    with pytest.raises(RemoteProtocolError):
        read_host_request(Frame(kind, OpenRoom(None).frame().body))


# -- T-21: what a relay says to a client is trusted as little ------------------------------------


def test_what_a_relay_says_comes_back() -> None:
    assert read_opened(RoomOpened("4821", TOKEN).frame()) == RoomOpened("4821", TOKEN)
    for guest in (GuestWaiting(0, False), GuestWaiting(U32, True)):
        assert read_guest(guest.frame()) == guest
    assert {frame.type for frame in (PING, PONG, WAITING)} == {0x26, 0x27, 0x24}
    assert all(frame.body == b"" for frame in (PING, PONG, WAITING))


@pytest.mark.parametrize("number", list(Refusal))
def test_a_refusal_is_explained(number: Refusal) -> None:
    for read in (raise_refusal, read_opened):
        with pytest.raises(RelayRefused) as caught:
            read(refused(number))
        assert caught.value.number == number
        assert SENTENCES[number] in str(caught.value)
        assert isinstance(caught.value, UnreachableError)
        assert caught.value.exit_status == 5


def test_t21_an_unknown_refusal_is_still_one() -> None:
    with pytest.raises(RelayRefused, match="refusal 200"):
        raise_refusal(Frame(FrameType.RELAY_REFUSED, b"\xc8"))


@pytest.mark.parametrize("body", [b"", b"\x01\x01", b"\x1b[31m you"])
def test_t21_a_refusal_is_one_byte(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        raise_refusal(Frame(FrameType.RELAY_REFUSED, body))


@pytest.mark.parametrize(
    "body", [b"", b"\0\0\0\1", b"\0\0\0\1\2", b"\0\0\0\1\xff", b"\0\0\0\1\0\0"]
)
def test_t21_a_guest_out_of_bounds(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_guest(Frame(FrameType.RELAY_GUEST, body))


@given(st.integers(0, 255), st.binary(max_size=100))
def test_t21_noise_is_refused_cleanly(kind: int, noise: bytes) -> None:
    reads: list[Callable[[Frame], object]] = [
        read_opened,
        read_guest,
        read_host_request,
        raise_refusal,
    ]
    said = []
    for read in reads:
        try:
            read(Frame(kind, noise))
        except (RemoteProtocolError, RelayRefused) as error:
            said.append(str(error))
    assert all(text.isprintable() for text in said)
    assert len(said) >= 2  # no frame is all four at once


def test_frames_that_are_no_refusal_pass() -> None:
    raise_refusal(PING)
    with pytest.raises(RemoteProtocolError):
        read_opened(PING)


def test_numbers_are_unique() -> None:
    assert len({int(number) for number in Refusal}) == len(Refusal.__members__)
    assert set(SENTENCES) == set(Refusal)


# -- the small sealed messages -------------------------------------------------------------------


@given(st.integers(0, 255), st.text(max_size=300))
def test_a_reason_comes_back_clipped(status: int, text: str) -> None:
    got, said = read_reason(write_reason(status, text))
    assert got == status
    assert text.startswith(said)
    assert len(said.encode()) <= MAX_REASON_BYTES
    assert said == text or len(text.encode()) > MAX_REASON_BYTES


def test_clipping_never_cuts_a_character() -> None:
    assert clip("\u00e9" * 300) == "\u00e9".encode() * 256
    assert clip("a" + "\u00e9" * 300) == b"a" + "\u00e9".encode() * 255
    assert clip("a\udcffb").decode() == "a?b", (
        "a name of bytes that are no text does not stop the last words"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x05",
        b"\x05\0\x02a",
        b"\x05\0\x01ab",
        b"\x05\x02\x01" + b"a" * 513,
        b"\x05\xff\xff",
        b"\x05\0\x01\xff",
    ],
)
def test_t16_a_reason_out_of_bounds(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_reason(body)


def test_a_receipt_comes_back() -> None:
    for receipt in (Receipt(0, 0, bytes(32)), Receipt(U32, (1 << 64) - 1, TOKEN)):
        body = receipt.encoded()
        assert len(body) == 44
        assert read_receipt(body) == receipt
        for wrong in (body[:-1], body + b"\0", b""):
            with pytest.raises(RemoteProtocolError):
                read_receipt(wrong)


def test_a_rekey_comes_back() -> None:
    for rekey in (Rekey(1, b""), Rekey(U32, bytes(16 * 1024))):
        body = rekey.encoded()
        assert read_rekey(body) == rekey
        for wrong in (body[:-1], body + b"\0", b""):
            with pytest.raises(RemoteProtocolError):
                read_rekey(wrong)
    with pytest.raises(RemoteProtocolError):
        read_rekey(Rekey(1, bytes(16 * 1024 + 1)).encoded())
