"""T-19, T-26: an end that is to stay hidden stays so in sessions that were dialled again, and in a
later run that goes on."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.kit.lab import MEGABYTE, Tallow, leftovers, tree, write_large
from tests.kit.namespaces import packets
from tests.kit.stage import Stage, paths

PARANOID = '[policy]\nprofile = "paranoid"\n'


def addresses(capture: Path) -> set[str]:
    """Source and destination of every IP packet but what the kernel says to its link by itself
    (ICMPv6, to link-local or multicast)."""
    found: set[str] = set()
    for packet in packets(capture):
        if packet[12:14] == b"\x08\x00":
            found |= {str(ip_address(packet[26:30])), str(ip_address(packet[30:34]))}
        elif packet[12:14] == b"\x86\xdd":
            ends = {ip_address(packet[22:38]), ip_address(packet[38:54])}
            if packet[20] in (socket.IPPROTO_TCP, socket.IPPROTO_UDP) or not any(
                end.is_link_local or end.is_multicast for end in ends
            ):
                found |= {str(end) for end in ends}
    return found


def compare(sender: Tallow, receiver: Tallow) -> None:
    """Type the receiver's number at the sender."""
    sender.event("safety")
    sender.feed(f"{receiver.event('safety')['say']}\n")


@pytest.mark.parametrize("who", ["sender", "receiver", "paranoid"])
def test_t19_t26_nobody_is_told_at_a_redial_or_a_resume(
    stage: Stage, who: str, tmp_path: Path
) -> None:
    """The relay is killed and comes back, then the receiver is killed and begun anew: all packets
    are between each end and the relay."""
    stage.direct(4, 6)
    write_large(stage.ann.work / "large", 32 * MEGABYTE)
    if who == "paranoid":
        stage.ann.configure(PARANOID)
    relayed = stage.network.program(stage.sender.removesuffix("s") + "m")
    home = stage.lab.place()
    relay = stage.lab.start(home, "relay", "serve", "--bind", "10.0.0.1:0", program=relayed)
    stage.url = relay.prints()
    mine, theirs = ("--relay-only",) * (who == "sender"), ("--relay-only",) * (who == "receiver")
    ours, others = tmp_path / "sender", tmp_path / "receiver"
    with stage.network.captured(stage.sender, ours), stage.network.captured(stage.receiver, others):
        sender = stage.send("large", "--throttle", "6MB", *mine, stdin="pipe")
        receiver = stage.receive(sender, *theirs)
        if who == "paranoid":
            compare(sender, receiver)
        receiver.event("progress", lambda event: event["bytes"] >= 6 * MEGABYTE)
        relay.kill()
        sender.event("reconnect")
        receiver.event("reconnect")
        stage.lab.start(
            home,
            "relay",
            "serve",
            "--bind",
            stage.url.partition("://")[2].partition("#")[0],
            program=relayed,
        ).prints()
        receiver.event("progress", lambda event: event["bytes"] >= 16 * MEGABYTE)
        assert receiver.named("resume")
        receiver.kill()
        second = stage.receive(sender, *theirs)
        second.ends(0)
        sender.ends(0)
    assert second.named("resume")[0]["bytes"] >= 12 * MEGABYTE
    assert tree(stage.bob.inbox) == tree(stage.ann.work)
    assert leftovers(stage.bob.inbox) == ["large"]
    assert paths(sender) == ["relay"] * 3
    assert addresses(ours) == {"10.1.0.1", "10.0.0.1"}
    assert addresses(others) == {"10.2.0.1", "10.0.0.1"}
