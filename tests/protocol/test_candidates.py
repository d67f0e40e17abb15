"""Candidates, and the messages by which data moves between lanes: their layout, their bounds, and
what is never dialled (T-19)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import RemoteProtocolError
from tallow_core.protocol.lanes.candidates import (
    KINDS,
    MAX_CANDIDATES,
    Candidate,
    read_candidates,
    refusal,
    write_candidates,
)
from tallow_core.protocol.lanes.session_messages import (
    Arrived,
    Further,
    Lost,
    read_arrived,
    read_further,
    read_lane,
    read_lost,
    read_wanted,
    write_lane,
    write_wanted,
)
from tallow_core.protocol.lanes.signal import (
    MAX_SESSION_SIGNAL_BYTES,
    MAX_SIGNAL_BYTES,
    MAX_SIGNALS,
    Signal,
    SignalBudget,
    read_signal,
)
from tests.kit.addresses import DIALLED, REFUSED

ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address),
    st.integers(0, 2**128 - 1).map(lambda number: ipaddress.IPv6Address(number)),
)
PINS = st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex)
CANDIDATES = st.builds(
    Candidate,
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True),
    ADDRESSES,
    st.integers(1, 65535),
    PINS,
    st.sampled_from(KINDS),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=512),
)
LISTS = st.lists(
    CANDIDATES, min_size=1, max_size=MAX_CANDIDATES, unique_by=lambda each: each.endpoint
)


@pytest.mark.parametrize("address", REFUSED)
def test_t19_is_refused(address: str) -> None:
    assert refusal(ip_address(address))


@pytest.mark.parametrize("address", DIALLED)
def test_may_be_dialled(address: str) -> None:
    assert refusal(ip_address(address)) == ""


@settings(deadline=None)
@given(ADDRESSES)
def test_t19_no_address_of_this_machine_or_link_passes(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Held against the standard library's own opinion, also of the IPv4 address inside a mapped
    one."""
    inner = getattr(address, "ipv4_mapped", None) or address
    if inner.is_loopback or inner.is_link_local or inner.is_multicast or inner.is_unspecified:
        assert refusal(address)


@settings(deadline=None)
@given(LISTS)
def test_t23_what_is_written_is_read(candidates: list[Candidate]) -> None:
    assert read_candidates(write_candidates(candidates)) == candidates


@settings(deadline=None)
@given(LISTS, st.data())
def test_t23_any_cut_or_surplus_is_refused(
    candidates: list[Candidate], data: st.DataObject
) -> None:
    body = write_candidates(candidates)
    with pytest.raises(RemoteProtocolError):
        read_candidates(body[: data.draw(st.integers(0, len(body) - 1))])
    with pytest.raises(RemoteProtocolError):
        read_candidates(body + b"\0")


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_t23_any_bytes_are_read_or_refused(body: bytes) -> None:
    """What is read has one encoding."""
    try:
        candidates = read_candidates(body)
    except RemoteProtocolError:
        return
    assert write_candidates(candidates) == body


def _many(count: int) -> bytes:
    return write_candidates(
        [Candidate("tcp", ip_address("10.0.0.1"), port) for port in range(1, count + 1)]
    )


def test_t19_the_layout_and_its_bounds() -> None:
    place = b"\x04" + bytes([10, 0, 0, 1]) + b"\x1f\x90"
    head = b"\x02" + b"\x00\x00\x00\x07" + b"\x03tcp"
    body = b"\x01" + head + place + b"\x00" + b"\x00\x01?"
    assert read_candidates(body) == [
        Candidate("tcp", ip_address("10.0.0.1"), 8080, None, "reflexive", 7, b"?")
    ]
    assert len(read_candidates(_many(16))) == 16
    pinned = b"\x01" + head + place + b"\x01" + bytes(range(32)) + b"\x00\x00"
    assert read_candidates(pinned)[0].pin == bytes(range(32)).hex()
    for wrong in (
        b"\x00",
        _many(17),
        body.replace(b"\x1f\x90", b"\x00\x00"),
        body.replace(b"tcp", b"TCP"),
        body.replace(b"tcp\x04", b"tcp\x05"),
        b"\x01" + head + place + b"\x02" + b"\x00\x00",
        b"\x01" + b"\x04" + head[1:] + place + b"\x00" + b"\x00\x00",
        b"\x01" + head + place + b"\x00" + b"\x02\x01" + bytes(513),
        b"\x02" + body[1:] * 2,
    ):
        with pytest.raises(RemoteProtocolError):
            read_candidates(wrong)


PLACES = st.tuples(ADDRESSES, st.integers(1, 65535))
SIGNALS = st.builds(
    Signal,
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True),
    st.binary(max_size=300),
    st.lists(PLACES, max_size=16).map(tuple),
)


@given(SIGNALS, st.data())
def test_t23_signals(signal: Signal, data: st.DataObject) -> None:
    body = signal.encoded()
    assert read_signal(body) == signal
    for wrong in (body[: data.draw(st.integers(0, len(body) - 1))], body + b"\0"):
        with pytest.raises(RemoteProtocolError):
            read_signal(wrong)


def test_t19_signals_out_of_bounds() -> None:
    place = ip_address("10.0.0.1"), 1
    largest = Signal("a", bytes(MAX_SIGNAL_BYTES), (place,) * 16)
    assert read_signal(largest.encoded()) == largest
    for wrong in (
        Signal("a", bytes(MAX_SIGNAL_BYTES + 1)),
        Signal("a", b"", (place,) * 17),
        Signal("A", b""),
        Signal("a", b"", ((place[0], 0),)),
    ):
        with pytest.raises(RemoteProtocolError):
            read_signal(wrong.encoded())


@pytest.mark.parametrize(
    ("size", "count"), [(0, MAX_SIGNALS), (MAX_SIGNAL_BYTES, MAX_SESSION_SIGNAL_BYTES >> 14)]
)
def test_t19_a_session_has_so_many_signals(size: int, count: int) -> None:
    budget, signal = SignalBudget(), Signal("a", bytes(size))
    assert [budget.spend(signal) for _ in range(count + 1)] == [True] * count + [False]


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_t23_moving_messages(lane: int, records: int) -> None:
    assert read_arrived(Arrived(lane, records).encoded()) == Arrived(lane, records)
    lost = Lost(lane, records, lane)
    assert read_lost(lost.encoded()) == lost
    assert read_lane(write_lane(lane), "Moved") == lane
    assert read_further(Further(lane, 15).encoded()) == Further(lane, 15)
    assert read_wanted(write_wanted(16)) == 16
    bodies: list[tuple[Callable[[bytes], object], bytes]] = [
        (read_arrived, Arrived(lane, records).encoded()),
        (read_lost, lost.encoded()),
        (partial(read_lane, what="Moved"), write_lane(lane)),
        (read_further, Further(lane, 1).encoded()),
        (read_wanted, write_wanted(1)),
    ]
    for read, body in bodies:
        for wrong in (body[:-1], body + b"\0", b""):
            with pytest.raises(RemoteProtocolError):
                read(wrong)
    for count in (0, 17, 255):
        with pytest.raises(RemoteProtocolError):
            read_wanted(write_wanted(count))
    for count in (0, 16, 255):
        with pytest.raises(RemoteProtocolError):
            read_further(Further(lane, count).encoded())
