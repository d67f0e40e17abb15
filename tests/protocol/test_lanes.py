"""Further lanes: joining by proving the session, with fresh keys every time."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import (
    AuthenticationError,
    LocalProtocolError,
    RemoteProtocolError,
    TallowError,
)
from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.handshake.key_schedule import Schedule
from tallow_core.protocol.lanes.lane_join import (
    CONTROL_KEYS,
    MAX_LANE_IDS,
    LaneAcceptor,
    LaneDialler,
    LaneHello,
    LaneKeys,
    lane_tag,
    read_lane_hello,
)
from tallow_core.protocol.lanes.record import Sealer
from tallow_core.secrets import system_rng
from tallow_core.testing.fakes import NonceLedger, recording, seeded_rng
from tallow_core.types import Role
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tests.kit.machines import cut, frames_of, schedules


def session(seed: bytes = b"session") -> Schedule:
    """A session's schedule, the same for the same seed."""
    rng = seeded_rng(seed)
    return Schedule("sha256", rng(32), bytearray(rng(64)), bytearray(rng(32)))


def hello_of(dialler: LaneDialler) -> LaneHello:
    """The dialler's first message, as the acceptor reads it."""
    (frame,) = frames_of(dialler.data_to_send())
    return read_lane_hello(frame)


def join(ours: Schedule, theirs: Schedule, lane: int = 1) -> tuple[LaneKeys, LaneKeys]:
    """Join a lane; returns the dialler's and the acceptor's keys."""
    dialler = LaneDialler(ours, lane, system_rng)
    acceptor = LaneAcceptor(theirs, hello_of(dialler), system_rng)
    dialler.receive(acceptor.data_to_send())
    acceptor.receive(dialler.data_to_send())
    assert dialler.keys is not None
    assert acceptor.keys is not None
    return dialler.keys, acceptor.keys


def test_both_ends_of_a_session_join_a_lane() -> None:
    host, guest = schedules()
    ours, theirs = join(guest, host, 1)
    assert ours == theirs
    secrets = [
        ours.secret(guest, Role.GUEST),
        ours.secret(guest, Role.HOST),
        CONTROL_KEYS.secret(guest, Role.GUEST),
    ]
    assert secrets == [
        theirs.secret(host, Role.GUEST),
        theirs.secret(host, Role.HOST),
        CONTROL_KEYS.secret(host, Role.GUEST),
    ]
    assert len({bytes(secret) for secret in secrets}) == 3
    assert lane_tag(host) == lane_tag(guest)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 100), max_size=8), st.booleans())
def test_any_split_of_the_bytes_works(places: list[int], wanted: bool) -> None:
    dialler = LaneDialler(session(), 1, system_rng)
    acceptor = LaneAcceptor(session(), hello_of(dialler), system_rng)
    for sender, receiver in ((acceptor, dialler), (dialler, acceptor)):
        data = sender.data_to_send()
        if wanted:
            data += b"records follow"
            while receiver.keys is None:
                take = min(receiver.wants, 1 + sum(places) % 7)
                receiver.receive(data[:take])
                data = data[take:]
            assert data == b"records follow"
        else:
            for chunk in cut(data, places):
                receiver.receive(chunk)
    assert dialler.keys == acceptor.keys is not None


def test_nothing_is_joined_before_the_mac_verified() -> None:
    dialler = LaneDialler(session(), 1, system_rng)
    acceptor = LaneAcceptor(session(), hello_of(dialler), system_rng)
    accept = acceptor.data_to_send()
    for byte in accept[:-1]:
        dialler.receive(bytes([byte]))
        assert dialler.keys is None
    assert dialler.data_to_send() == b""
    dialler.receive(accept[-1:])
    assert dialler.keys is not None
    assert acceptor.keys is None
    with pytest.raises(LocalProtocolError):
        dialler.receive(b"more")


def test_another_session_is_refused() -> None:
    dialler = LaneDialler(session(), 1, system_rng)
    acceptor = LaneAcceptor(session(b"other"), hello_of(dialler), system_rng)
    with pytest.raises(AuthenticationError):
        dialler.receive(acceptor.data_to_send())
    assert dialler.keys is None
    assert dialler.data_to_send() == b""
    stranger = LaneDialler(session(b"other"), 1, system_rng)
    hello = hello_of(stranger)
    acceptor = LaneAcceptor(session(), hello, system_rng)
    stranger.receive(LaneAcceptor(session(b"other"), hello, system_rng).data_to_send())
    with pytest.raises(AuthenticationError):
        acceptor.receive(stranger.data_to_send())
    assert acceptor.keys is None


def test_t23_every_bit_of_a_lanes_messages_counts() -> None:
    hello = LaneDialler(session(), 1, system_rng).data_to_send()
    for number, length in enumerate((len(hello), 5 + 64, 5 + 32)):
        for bit in range(5 * 8, length * 8):
            dialler = LaneDialler(session(), 1, system_rng)
            flights: list[bytes] = []

            def pass_on(
                data: bytes, flights: list[bytes] = flights, number: int = number, bit: int = bit
            ) -> bytes:
                changed = bytearray(data)
                if len(flights) == number:
                    changed[bit // 8] ^= 1 << (bit % 8)
                flights.append(data)
                return bytes(changed)

            with pytest.raises(TallowError):  # noqa: PT012
                (frame,) = frames_of(pass_on(dialler.data_to_send()))
                acceptor = LaneAcceptor(session(), read_lane_hello(frame), system_rng)
                dialler.receive(pass_on(acceptor.data_to_send()))
                acceptor.receive(pass_on(dialler.data_to_send()))
            assert acceptor.keys is None
            assert (dialler.keys is None) == (number != 2)


def test_t23_messages_out_of_order_and_reflected_ones_are_refused() -> None:
    dialler = LaneDialler(session(), 1, system_rng)
    hello = dialler.data_to_send()
    acceptor = LaneAcceptor(session(), read_lane_hello(frames_of(hello)[0]), system_rng)
    accept = acceptor.data_to_send()
    again = LaneDialler(session(), 1, system_rng)
    again.receive(LaneAcceptor(session(), hello_of(again), system_rng).data_to_send())
    ready = again.data_to_send()
    for wrong in (
        hello,
        ready,
        Frame(FrameType.HELLO, b"").encoded,
        Frame(FrameType.ALERT, b"\1").encoded,
    ):
        with pytest.raises(RemoteProtocolError):
            LaneDialler(session(), 1, system_rng).receive(wrong)
    for wrong in (hello, accept, Frame(FrameType.PROVE, bytes(32)).encoded):
        with pytest.raises(RemoteProtocolError):
            LaneAcceptor(session(), LaneHello(bytes(16), 1, bytes(32)), system_rng).receive(wrong)


def test_t23_the_acceptors_mac_is_no_answer_to_it() -> None:
    dialler = LaneDialler(session(), 1, system_rng)
    acceptor = LaneAcceptor(session(), hello_of(dialler), system_rng)
    (accept,) = frames_of(acceptor.data_to_send())
    with pytest.raises(AuthenticationError):
        acceptor.receive(Frame(FrameType.LANE_READY, accept.body[32:]).encoded)


def test_t33_a_replayed_lane_never_repeats_a_key_and_nonce() -> None:
    """An acceptor that is given an old LaneHello again, a dialler that is given an old LaneAccept,
    and lanes that are opened again."""
    ledger = NonceLedger()
    cipher = recording(Aes256Gcm, ledger)
    schedule = session()

    def use(keys: LaneKeys) -> None:
        for sender in Role:
            sealer = Sealer(cipher, "sha256", keys.lane, sender, keys.secret(schedule, sender))
            raw = memoryview(bytearray(1 + sealer.overhead))
            raw[0] = 0x07
            sealer.seal(raw, 1)

    dialler = LaneDialler(schedule, 1, system_rng)
    hello = hello_of(dialler)
    acceptors = [LaneAcceptor(schedule, hello, system_rng) for _ in range(5)]
    accepts = [acceptor.data_to_send() for acceptor in acceptors]
    assert len(set(accepts)) == 5
    dialler.receive(accepts[0])
    ready = dialler.data_to_send()
    acceptors[0].receive(ready)
    assert acceptors[0].keys is not None
    use(acceptors[0].keys)
    for acceptor in acceptors[1:]:
        with pytest.raises(AuthenticationError):
            acceptor.receive(ready)
        assert acceptor.keys is None
    for _ in range(5):
        later = LaneDialler(schedule, 1, system_rng)
        with pytest.raises(AuthenticationError):
            later.receive(accepts[0])
        use(join(schedule, schedule)[0])
    use(CONTROL_KEYS)
    assert len(ledger.pairs) == 2 * 7
    assert len({key for key, _ in ledger.pairs}) == 2 * 7


def test_every_part_of_a_lanes_keys_matters() -> None:
    schedule = session()
    variants = [
        LaneKeys(lane, d * 32, a * 32) for lane in (1, 2) for d, a in permutations((b"x", b"y"), 2)
    ]
    secrets = {
        bytes(keys.secret(schedule, sender))
        for keys in (*variants, CONTROL_KEYS)
        for sender in Role
    }
    assert len(secrets) == 10


@pytest.mark.parametrize("lane", [0, MAX_LANE_IDS, MAX_LANE_IDS + 1, (1 << 31), (1 << 32) - 1])
def test_t16_a_lane_id_out_of_bounds(lane: int) -> None:
    with pytest.raises(RemoteProtocolError):
        read_lane_hello(LaneHello(bytes(16), lane, bytes(32)).frame())


@pytest.mark.parametrize("lane", [1, 2, MAX_LANE_IDS - 1])
def test_t16_a_lane_id_within_bounds(lane: int) -> None:
    hello = LaneHello(bytes(range(16)), lane, bytes(range(32)))
    assert read_lane_hello(hello.frame()) == hello


@pytest.mark.parametrize("length", [0, 1, 51, 53, 16384])
def test_t16_a_lane_hello_of_another_length(length: int) -> None:
    with pytest.raises(RemoteProtocolError):
        read_lane_hello(
            Frame(
                FrameType.LANE_HELLO,
                (LaneHello(bytes(16), 1, bytes(32)).frame().body + bytes(16384))[:length],
            )
        )


def test_t23_another_frame_is_no_lane_hello() -> None:
    with pytest.raises(RemoteProtocolError):
        read_lane_hello(Frame(FrameType.HELLO, LaneHello(bytes(16), 1, bytes(32)).frame().body))


def test_t16_the_messages_of_a_lane_are_short() -> None:
    dialler = LaneDialler(session(), 1, system_rng)
    with pytest.raises(RemoteProtocolError):
        dialler.receive(b"\x11\x00\x00\x00\x41")
