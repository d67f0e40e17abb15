"""A long wire of our own: two TUN devices, and between them a delay line and a rate limit.

`wire.py PID PID --rtt SECONDS --rate BYTES` makes a device in the network namespace of each
process, with the addresses below or those of `--addresses`, and carries packets between them until
its standard input ends. Every kernel with TUN has it, so all machines measure the same thing.

Python cannot read and write 83,000 packets of 1,500 bytes a second and leave anything of two cores.
So the devices offer segmentation offload, as the network cards of virtual machines do
(`TUNSETOFFLOAD`, `struct virtio_net_hdr`): a read gives up to 64 KiB of one TCP connection, which
the other device takes as it is. The limit counts them as the packets that they stand for.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque

ADDRESSES = ("10.77.0.1", "10.77.0.2")
MTU = 1500

_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_TUN, _NO_PI, _VNET_HDR = 0x0001, 0x1000, 0x4000
_CHECKSUMS, _TSO4 = 1, 2
_HEADER = struct.Struct("=BBHHHH")
"""`struct virtio_net_hdr`: flags, kind of segmentation, bytes of headers, bytes of each segment,
checksum from, checksum at."""
_MOST = _HEADER.size + 65536
_BATCH = 32
_ETHERNET = 14


class Line:
    """One direction: a queue of `room` bytes before a link of `rate` bytes a second, then `delay`
    seconds. Has no clock of its own."""

    def __init__(self, rate: float, delay: float, room: int) -> None:
        self._rate = rate
        self._delay = delay
        self._room = room
        self._idle_at = 0.0
        self._flying: deque[tuple[float, bytes]] = deque()
        self.dropped = 0

    def offer(self, now: float, packet: bytes, size: int) -> bool:
        """Take a packet that is `size` bytes long on the link; False if the queue is full, and the
        packet is lost."""
        begins = max(now, self._idle_at)
        if (begins - now) * self._rate + size > self._room:
            self.dropped += 1
            return False
        self._idle_at = begins + size / self._rate
        self._flying.append((self._idle_at + self._delay, packet))
        return True

    def due(self, now: float) -> list[bytes]:
        """The packets that have arrived, in order."""
        arrived = []
        while self._flying and self._flying[0][0] <= now:
            arrived.append(self._flying.popleft()[1])
        return arrived

    def next_at(self) -> float | None:
        """When the next one arrives."""
        return self._flying[0][0] if self._flying else None


def size_on_link(packet: bytes) -> int:
    """Bytes that a packet with its header takes as packets of its own, Ethernet's headers
    included."""
    kind: int
    headers: int
    each: int
    _, kind, headers, each, _, _ = _HEADER.unpack_from(packet)
    size = len(packet) - _HEADER.size
    if not kind or not each:
        return size + _ETHERNET
    packets = -(-(size - headers) // each)
    return size - headers + packets * (headers + _ETHERNET)


def carry(ends: tuple[int, int], rate: float, rtt: float, stop: int) -> None:
    """Move packets until `stop` can be read. The queue holds what is on its way in one round
    trip."""
    lines = {end: Line(rate, rtt / 2, int(rate * rtt)) for end in ends}
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    while True:
        coming = [at for line in lines.values() if (at := line.next_at()) is not None]
        patience = max(min(coming) - time.monotonic(), 0) if coming else None
        ready, _, _ = select.select([*ends, stop], [], [], patience)
        if stop in ready:
            return
        for end in ready:
            _take(end, lines[end])
        for end, line in lines.items():
            for packet in line.due(time.monotonic()):
                _give(other[end], packet)


def _take(end: int, line: Line) -> None:
    for _ in range(_BATCH):
        try:
            packet = os.read(end, _MOST)
        except BlockingIOError:
            return
        line.offer(time.monotonic(), packet, size_on_link(packet))


def _give(end: int, packet: bytes) -> None:
    try:
        os.write(end, packet)
    except OSError:
        pass  # as on any wire, what the other side does not take is lost


def _device(namespace: int, name: str, address: str) -> int:
    """Make a device, move it into the namespace of the process `namespace`, and set it up there."""
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN | _NO_PI | _VNET_HDR))
    fcntl.ioctl(end, _TUNSETOFFLOAD, _CHECKSUMS | _TSO4)
    inside = ("nsenter", "--target", str(namespace), "--net", "ip")
    for command in (
        ("ip", "link", "set", name, "netns", str(namespace)),
        (*inside, "address", "add", f"{address}/24", "dev", name),
        (*inside, "link", "set", name, "mtu", str(MTU), "up"),
    ):
        subprocess.run(command, check=True, timeout=10)
    return end


def main() -> None:
    """Carry packets between two namespaces."""
    parser = argparse.ArgumentParser()
    parser.add_argument("namespaces", type=int, nargs=2)
    parser.add_argument("--rtt", type=float, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--addresses", nargs=2, default=ADDRESSES)
    options = parser.parse_args()
    names = (f"tlwa{os.getpid()}", f"tlwb{os.getpid()}")
    one, two = (
        _device(*where) for where in zip(options.namespaces, names, options.addresses, strict=True)
    )
    print(json.dumps({"event": "ready"}), flush=True)
    carry((one, two), options.rate, options.rtt, sys.stdin.fileno())


if __name__ == "__main__":
    main()
