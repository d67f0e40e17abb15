"""Paths that race, between real processes on hosts of their own: a sender, a receiver, and a relay
that both reach.

The relay is at 10.0.0.1. The sender and the receiver are joined to it by a wire each, and perhaps
to one another by a third, `direct`. Nothing forwards, so what is addressed to the other's side of
the relay disappears.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.kit.lab import MEGABYTE, PATIENCE, Lab, tree, write_large
from tests.kit.namespaces import made, packets
from tests.kit.stage import (
    RECEIVER,
    SENDER,
    SENDER6,
    Stage,
    done,
    paths,
)


@pytest.mark.parametrize("families", [(4,), (6,), (4, 6)], ids=str)
def test_one_subnet_moves_to_the_direct_path(stage: Stage, families: tuple[int, ...]) -> None:
    """Most of the bytes go there, and it is the same transfer."""
    stage.direct(*families)
    write_large(stage.ann.work / "large", 96 * MEGABYTE)
    sender = stage.send("large", "--throttle", "20MB")
    receiver = stage.receive(sender)
    done(stage, sender, receiver)
    assert paths(sender) == paths(receiver) == ["relay", "direct"]
    assert stage.network.moved(stage.sender, "direct") > 64 * MEGABYTE
    assert (
        stage.network.moved(stage.sender, "leg1") < 32 * MEGABYTE
    )  # about a second, to know what the relay gives


def test_standard_input_moves_too(stage: Stage, tmp_path: Path) -> None:
    stage.direct()
    sender = stage.send("-", "--throttle", "10MB", stdin="pipe")
    with (tmp_path / "out").open("wb") as out:
        receiver = stage.receive(sender, "--stdout", stdout=out.fileno())
    block, count = bytes(range(256)) * 4096, 0
    deadline = time.monotonic() + PATIENCE
    while "direct" not in paths(sender) or "direct" not in paths(receiver):
        assert time.monotonic() < deadline, sender.story()
        sender.feed(block)
        count += 1
        time.sleep(0.1)
    sender.feed(4 * block)
    sender.end_of_input()
    receiver.ends(0)
    sender.ends(0)
    assert paths(sender) == paths(receiver) == ["relay", "direct"]
    assert (tmp_path / "out").read_bytes() == (count + 4) * block


@pytest.mark.timing
def test_no_common_network_stays_on_the_relay(stage: Stage) -> None:
    """And is not slower for having looked: dialling addresses that swallow everything costs the
    transfer nothing."""
    write_large(stage.ann.work / "large", 96 * MEGABYTE)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for only in (True, False, True, False, True, False):
        words = ("--relay-only",) if only else ()
        sender = stage.send("large", *words)
        receiver = stage.receive(sender, "--overwrite", "always", *words)
        done(stage, sender, receiver)
        assert paths(sender) == paths(receiver) == ["relay"]
        seconds[only].append(receiver.event("done")["seconds"])
    print(f"relay alone {min(seconds[True]):.2f} s, racing {min(seconds[False]):.2f} s")
    assert min(seconds[False]) < 1.5 * min(seconds[True])


@pytest.mark.parametrize("broken", [False, True], ids=["to the end", "and back"])
def test_several_lanes_move_too(stage: Stage, broken: bool) -> None:
    """By several connections through the relay, by several directly, and by several again when one
    of those is cut."""
    stage.direct()
    write_large(stage.ann.work / "large", 96 * MEGABYTE)
    sender = stage.send("large", "--throttle", "16MB", "--lanes", "3", "-vv")
    receiver = stage.receive(sender)
    receiver.event("progress", lambda event: event["bytes"] > 40 * MEGABYTE)
    assert paths(sender) == ["relay", "direct"]
    assert (
        re.split(r"the data goes by (?:tcp://)?10\.9\.", sender.err.text)[-1].count(
            "the data goes by 3 connections"
        )
        == 1
    )
    if broken:
        stage.network.ip(stage.sender, "link", "set", "direct", "down")
        sender.event("path", lambda event: event["path"] == "relay")
        sender.says("the data goes by tls:")
    done(stage, sender, receiver)
    if broken:
        assert (
            "the data goes by 3 connections"
            in sender.err.text.rpartition("the data goes by tls:")[2]
        )
    else:
        assert paths(sender) == paths(receiver) == ["relay", "direct"]


def test_a_direct_path_that_appears_later(stage: Stage) -> None:
    """Addresses are looked at again while the transfer runs."""
    write_large(stage.ann.work / "large", 60 * MEGABYTE)
    sender = stage.send("large", "--throttle", "4MB")
    receiver = stage.receive(sender)
    receiver.event("progress", lambda event: event["bytes"] > 2 * MEGABYTE)
    assert paths(sender) == paths(receiver) == ["relay"]
    stage.direct()
    sender.event("path", lambda event: event["path"] == "direct")
    done(stage, sender, receiver)
    assert paths(receiver) == ["relay", "direct"]


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_a_direct_path_that_falls_silent(stage: Stage, kind: str) -> None:
    """The wire is cut in the middle: the rest goes by the relay again, and nothing is missing, also
    of what cannot be read twice."""
    stage.direct()
    write_large(stage.ann.work / "large", 64 * MEGABYTE)
    sender = stage.send(
        *(("large",) if kind == "file" else ("-",)), "--throttle", "8MB", stdin="pipe"
    )
    receiver = stage.receive(sender)
    if kind == "pipe":
        sender.feed((stage.ann.work / "large").read_bytes())
        sender.end_of_input()
    sender.event("path")
    receiver.event("progress", lambda event: event["bytes"] > 16 * MEGABYTE)
    stage.network.ip(stage.sender, "link", "set", "direct", "down")
    receiver.ends(0)
    sender.ends(0)
    assert list(tree(stage.bob.inbox).values()) == list(tree(stage.ann.work).values())
    assert paths(sender)[:3] == paths(receiver)[:3] == ["relay", "direct", "relay"]


def test_fresh_keys_while_the_path_changes(stage: Stage) -> None:
    """A rekey every few records, before, during and after the move."""
    stage.direct()
    stage.ann.configure("[session]\nrekey_bytes = 1048576\n")
    write_large(stage.ann.work / "large", 64 * MEGABYTE)
    sender = stage.send("large", "--throttle", "10MB", "-vv")
    done(stage, sender, stage.receive(sender))
    assert paths(sender) == ["relay", "direct"]
    assert sender.err.text.count("fresh keys") > 8


@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_t19_relay_only_tells_nobody_and_dials_nobody(
    stage: Stage, side: str, tmp_path: Path
) -> None:
    """Whichever end says so: no packet between the two ends, and no listener there."""
    stage.direct(4, 6)
    write_large(stage.ann.work / "large", 24 * MEGABYTE)
    capture = tmp_path / "packets"
    mine, theirs = (("--relay-only",), ()) if side == "sender" else ((), ("--relay-only",))
    with stage.network.captured(stage.sender, capture):
        sender = stage.send("large", "--throttle", "8MB", *mine)
        receiver = stage.receive(sender, *theirs)
        done(stage, sender, receiver)
    assert paths(sender) == paths(receiver) == ["relay"]
    seen = [flow for packet in packets(capture) if (flow := flow_of(packet))]
    assert seen
    assert {address for flow in seen for address in flow[:2]} == {"10.1.0.1", "10.0.0.1"}


def test_t14_no_address_in_clear(lab: Lab, tmp_path: Path) -> None:
    """The relay's legs without TLS, on one host: nothing that is sent holds an address of it, as
    text or as bytes."""
    network = made()
    try:
        host = network.host("h")
        network.wire(host, network.host("o"), "net")
        for address in (SENDER, SENDER6):
            network.address(host, "net", f"{address}/{64 if ':' in address else 24}")
        served = lab.start(
            lab.place(),
            "relay",
            "serve",
            "--bind",
            "tcp://127.0.0.1:0",
            program=network.program(host),
        )
        url = served.prints()
        ann, bob = lab.pair(apart=True)
        write_large(ann.work / "large", 6 * MEGABYTE)
        with network.captured(host, tmp_path / "packets"):
            sender = lab.send(
                ann, "large", "--relay", url, "--throttle", "2MB", program=network.program(host)
            )
            receiver = lab.receive(bob, sender.code, "--relay", url, program=network.program(host))
            receiver.ends(0)
            sender.ends(0)
        assert paths(sender) == ["relay", "direct"]
        flows = [flow for packet in packets(tmp_path / "packets") if (flow := flow_of(packet))]
        assert {SENDER, SENDER6} & {flow[0] for flow in flows}, "the direct path was not seen"
        sent = b"".join(flow[2] for flow in flows)
        assert len(sent) > 6 * MEGABYTE
        for address in (SENDER, SENDER6):
            assert address.encode() not in sent
        for address in (
            SENDER,
            SENDER6,
        ):  # as in Candidates: four bytes alone may be there by chance
            assert bytes([ip_address(address).version]) + ip_address(address).packed not in sent
        lab.close()
    finally:
        network.close()


def flow_of(packet: bytes) -> tuple[str, str, bytes] | None:
    """Source, destination and payload of a TCP packet, None for any other."""
    (kind,) = struct.unpack_from(">H", packet, 12)
    if kind == 0x0800 and packet[23] == socket.IPPROTO_TCP:
        source, destination, tcp = packet[26:30], packet[30:34], 14 + 4 * (packet[14] & 15)
    elif kind == 0x86DD and packet[20] == socket.IPPROTO_TCP:
        source, destination, tcp = packet[22:38], packet[38:54], 54
    else:
        return None
    return (
        str(ip_address(source)),
        str(ip_address(destination)),
        packet[tcp + 4 * (packet[tcp + 12] >> 4) :],
    )


CODE = "4821-stamp-daybreak-kindred"
RELAY = f"tls://127.0.0.1:9#sha256={'0' * 64}"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("send", "file"), "so a relay with a pin is needed"),
        (("send", "file", "--no-relay"), "so a relay with a pin is needed"),
        (("send", "file", "--relay", RELAY, "--listen", "127.0.0.1:0"), "listening"),
        (("receive", "--relay", RELAY, "--at", "127.0.0.1:9"), "dialling the sender"),
    ],
    ids=["no relay", "no-relay", "listen", "at"],
)
def test_relay_only_and_its_opposites(lab: Lab, words: tuple[str, ...], what: str) -> None:
    ann = lab.place()
    (ann.work / "file").write_text("content")
    process = lab.start(ann, *words, "--relay-only", env={"TALLOW_CODE": CODE}).ends(3)
    assert what in process.err.text
    assert "--relay-only" in process.err.text


def test_what_a_person_reads(stage: Stage) -> None:
    """Where the data goes is said when it changes, and at which address with -v."""
    stage.direct()
    write_large(stage.ann.work / "large", 8 * MEGABYTE)
    sender = stage.send("large", "--throttle", "4MB", "-v")
    words = (
        "receive",
        "--yes",
        "--relay",
        stage.url,
        "--output",
        str(stage.bob.inbox),
        "--throttle",
        "4MB",
    )
    receiver = stage.lab.start(
        stage.bob,
        *words,
        env={"TALLOW_CODE": sender.code},
        program=stage.network.program(stage.receiver),
    )
    done(stage, sender, receiver)
    said = receiver.err.text
    assert said.index("Connected through the relay.") < said.index("Now connected directly.")
    assert RECEIVER not in said
    assert SENDER not in said
    assert RECEIVER in sender.err.text
