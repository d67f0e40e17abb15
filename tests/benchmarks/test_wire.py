"""The wire of the benchmarks: it delays and limits, by a clock of the test; and in real namespaces,
where there are any."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import network
from benchmarks.network import Wire
from benchmarks.wire import ADDRESSES, Line, size_on_link

RATE = 1000.0
DELAY = 0.5


def line(room: int = 10_000) -> Line:
    return Line(RATE, DELAY, room)


def test_a_packet_takes_its_own_time_and_the_delay() -> None:
    wire = line()
    assert wire.offer(7.0, b"packet", 100)
    assert wire.next_at() == pytest.approx(7.0 + 0.1 + DELAY)
    assert wire.due(7.59) == []
    assert wire.due(7.61) == [b"packet"]
    assert wire.next_at() is None


def test_what_comes_faster_than_the_rate_leaves_at_the_rate_and_in_order() -> None:
    wire = line()
    packets = [bytes([number]) for number in range(20)]
    for packet in packets:
        assert wire.offer(0.0, packet, 100)
    arrivals = []
    while (at := wire.next_at()) is not None:
        arrivals += [(at, packet) for packet in wire.due(at)]
    assert [packet for _, packet in arrivals] == packets
    assert [at for at, _ in arrivals] == pytest.approx(
        [DELAY + 0.1 * (number + 1) for number in range(20)]
    )


def test_an_idle_link_saves_nothing_up() -> None:
    wire = line()
    wire.offer(0.0, b"a", 100)
    wire.offer(100.0, b"b", 100)
    wire.offer(100.0, b"c", 100)
    assert wire.due(100.15 + DELAY) == [b"a", b"b"]
    assert wire.due(100.25 + DELAY) == [b"c"]


def test_a_full_queue_loses_packets_until_there_is_room() -> None:
    wire = line(room=250)
    assert [wire.offer(0.0, b"x", 100) for _ in range(4)] == [True, True, False, False]
    assert wire.dropped == 2
    assert wire.offer(0.1, b"y", 100)  # the first has left
    assert wire.due(100.0) == [b"x", b"x", b"y"]


def test_a_segmented_packet_counts_as_the_packets_it_stands_for() -> None:
    header = struct.Struct("=BBHHHH")
    small = header.pack(0, 0, 0, 0, 0, 0) + bytes(1500)
    assert size_on_link(small) == 1500 + 14
    large = header.pack(1, 1, 52, 1448, 20, 16) + bytes(52 + 1448 * 3 + 10)
    assert size_on_link(large) == 1448 * 3 + 10 + 4 * (52 + 14)


_ECHO = """
import socket, sys
with socket.create_server((sys.argv[1], 7777)) as server:
    print("ready", flush=True)
    peer, _ = server.accept()
    total = 0
    while got := peer.recv(1 << 20):
        total += len(got)
    peer.sendall(str(total).encode())
"""
_SEND = """
import socket, sys, time
began = time.monotonic()
with socket.create_connection((sys.argv[1], 7777)) as peer:
    connected = time.monotonic() - began
    peer.sendall(bytes(int(sys.argv[2])))
    peer.shutdown(socket.SHUT_WR)
    assert int(peer.recv(100)) == int(sys.argv[2])
print(connected, time.monotonic() - began)
"""


@pytest.mark.processes
@pytest.mark.skipif(bool(network.missing()), reason=network.missing() or "-")
@pytest.mark.timing
def test_two_namespaces_are_as_far_apart_as_asked(tmp_path: Path) -> None:
    size, wire = 2 << 20, Wire(rtt=0.1, rate=4e6)
    with network.joined(tmp_path, wire) as (near, far):
        echo = subprocess.Popen(
            [*far, sys.executable, "-c", _ECHO, ADDRESSES[1]], stdout=subprocess.PIPE
        )
        try:
            assert echo.stdout is not None
            assert echo.stdout.readline() == b"ready\n"
            command = [*near, sys.executable, "-c", _SEND, ADDRESSES[1], str(size)]
            said = subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
        finally:
            echo.kill()
            echo.communicate()
    connected, whole = map(float, said.split())
    assert wire.rtt <= connected
    assert size / wire.rate + wire.rtt <= whole < 30


@pytest.mark.processes
@pytest.mark.skipif(bool(network.missing()), reason=network.missing() or "-")
def test_nothing_of_the_wire_is_left(tmp_path: Path) -> None:
    with network.joined(tmp_path, Wire(0.01, 1e6)) as (near, _):
        pid = int(near[2])
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    deadline = time.monotonic() + 10
    while "tlwa" in Path("/proc/net/dev").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "tlwa" not in Path("/proc/net/dev").read_text()
