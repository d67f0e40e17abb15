"""Hosts of a small network: Linux network namespaces joined by pairs of virtual interfaces."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import wire

_IP = shutil.which("ip") or ""


class Cannot(Exception):
    """This system or user cannot make namespaces."""


def _run(*words: str) -> str:
    done = subprocess.run([_IP, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Cannot(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """Namespaces with names of their own for one test; all are removed at its end."""

    def __init__(self) -> None:
        self._tag = secrets.token_hex(3)
        self._made: list[str] = []
        self._children: list[subprocess.Popen[bytes]] = []

    def host(self, name: str) -> str:
        """Make a host and give the name of its namespace."""
        space = f"tl{self._tag}{name}"
        _run("netns", "add", space)
        self._made.append(space)
        self.ip(space, "link", "set", "lo", "up")
        self.write(space, "/proc/sys/net/ipv4/ip_forward", "0")
        return space

    def ip(self, space: str, *words: str) -> str:
        """Run `ip` for a host."""
        return _run("-n", space, *words)

    def write(self, space: str, file: str, text: str) -> None:
        """Write a kernel setting of a host."""
        _run("netns", "exec", space, "/bin/sh", "-c", f"echo {text} > {file}")

    def wire(self, one: str, other: str, name: str) -> None:
        """Join two hosts by interfaces called `name`, without addresses."""
        _run(
            "link", "add", name, "netns", one, "type", "veth", "peer", "name", name, "netns", other
        )
        for space in (one, other):
            self.ip(space, "link", "set", name, "up")

    def limited(
        self, spaces: tuple[str, str], addresses: tuple[str, str], *, rtt: float, rate: float
    ) -> None:
        """Join two hosts, for as long as there is this network, by a wire of so many seconds and
        bytes a second that needs nothing of the kernel but TUN. It holds back a round trip's worth,
        which must be more than the 64 KiB that come at once."""
        holders = [self._child(_IP, "netns", "exec", space, "cat") for space in spaces]
        options = ("--rtt", str(rtt), "--rate", str(rate), "--addresses", *addresses)
        carrying = self._child(
            sys.executable, str(wire.__file__), *(str(holder.pid) for holder in holders), *options
        )
        assert carrying.stdout is not None
        if not carrying.stdout.readline():
            raise Cannot("no TUN devices")

    def _child(self, *command: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._children.append(child)
        return child

    def address(self, space: str, name: str, address: str) -> None:
        """Give an interface an address, as `10.0.0.1/24`; an IPv6 one is usable at once."""
        self.ip(
            space, "address", "add", address, "dev", name, *(("nodad",) if ":" in address else ())
        )

    def route(self, space: str, to: str, via: str) -> None:
        """Add a route."""
        self.ip(space, "route", "add", to, "via", via)

    def moved(self, space: str, name: str) -> int:
        """Bytes that an interface has sent and received."""
        folder = f"/sys/class/net/{name}/statistics"
        return sum(
            int(number)
            for number in _run(
                "netns", "exec", space, "cat", f"{folder}/rx_bytes", f"{folder}/tx_bytes"
            ).split()
        )

    def inside(self, space: str) -> tuple[str, ...]:
        """The words before those of a program that is to run on a host."""
        return (_IP, "netns", "exec", space)

    def program(self, space: str) -> tuple[str, ...]:
        """The words that run Tallow on a host."""
        return (*self.inside(space), sys.executable, "-m", "tallow_core")

    @contextmanager
    def captured(self, space: str, file: Path) -> Iterator[None]:
        """Write every packet of a host's interfaces to `file` while the block runs: length[4] ||
        the packet from its Ethernet header on."""
        command = [_IP, "netns", "exec", space, sys.executable, "-c", _CAPTURE, str(file)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            try:
                yield
            finally:
                process.stdin.close()
                process.wait(10)

    def close(self) -> None:
        """Remove all hosts, and with them their interfaces."""
        for child in reversed(self._children):
            child.kill()
            child.communicate()
        for space in self._made:
            _run("netns", "delete", space)


_CAPTURE = """
import select, socket, sys
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
with open(sys.argv[1], "wb") as file:
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([packets, sys.stdin], [], [])
        if packets in readable:
            packet = packets.recv(1 << 17)
            file.write(len(packet).to_bytes(4, "big") + packet)
        elif sys.stdin in readable:
            break
"""


def packets(file: Path) -> list[bytes]:
    """What `captured` wrote."""
    found = []
    with file.open("rb") as captured:
        while head := captured.read(4):
            found.append(captured.read(int.from_bytes(head)))
    return found


def made() -> Network:
    """A network, or the reason to skip a test."""
    if not sys.platform.startswith("linux") or not _IP or os.geteuid() != 0:
        pytest.skip("needs Linux, iproute2 and root")
    network = Network()
    try:
        network.wire(network.host("probe1"), network.host("probe2"), "probe")
    except Cannot as reason:
        network.close()
        pytest.skip(f"no network namespaces here: {reason}")
    return network
