"""A transfer is never slower than by the relay alone: real processes on hosts whose wires have a
rate.

The sender is joined to the relay by a fast wire; the receiver by one of `relay` bytes a second, and
to the sender by one of `direct`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kit.lab import MEGABYTE, Lab, write_large
from tests.kit.namespaces import Cannot, made
from tests.kit.stage import Stage, done, paths


@contextmanager
def stage(lab: Lab, relay: float, direct: float) -> Iterator[Stage]:
    """The hosts, joined so."""
    network = made()
    try:
        sender, receiver, middle = network.host("s"), network.host("r"), network.host("m")
        network.address(middle, "lo", "10.0.0.1/32")
        network.wire(sender, middle, "leg1")
        network.address(sender, "leg1", "10.1.0.1/24")
        network.address(middle, "leg1", "10.1.0.254/24")
        network.route(sender, "default", "10.1.0.254")
        try:
            network.limited(
                (receiver, middle), ("10.2.0.1", "10.2.0.254"), rtt=200_000 / relay, rate=relay
            )
            network.limited(
                (sender, receiver), ("10.9.0.1", "10.9.0.2"), rtt=200_000 / direct, rate=direct
            )
        except Cannot as reason:
            pytest.skip(str(reason))
        network.route(receiver, "default", "10.2.0.254")
        served = lab.start(
            lab.place(), "relay", "serve", "--bind", "10.0.0.1:0", program=network.program(middle)
        )
        ann, bob = lab.pair(apart=True)
        yield Stage(lab, network, sender, receiver, served.prints(), ann, bob, middle)
        lab.close()
    finally:
        network.close()


def seconds(stage: Stage, *words: str) -> tuple[float, list[tuple[str, str]]]:
    """How long a transfer takes, and where the data went and why."""
    sender = stage.send("large", "-v", *words)
    receiver = stage.receive(sender, "--overwrite", "always", *words)
    receiver.ends(0, 120)
    done(stage, sender, receiver)
    assert paths(sender) == paths(receiver)
    told = [(event["path"], event["reason"]) for event in sender.named("path")]
    assert told == [(event["path"], event["reason"]) for event in receiver.named("path")]
    return receiver.event("done")["seconds"], told


@pytest.mark.timing
def test_a_slow_direct_path_is_left_for_the_relay(lab: Lab) -> None:
    """It costs the seconds of the trial, not ten times the transfer."""
    with stage(lab, relay=20e6, direct=2e6) as hosts:
        write_large(hosts.ann.work / "large", 160 * MEGABYTE)
        alone, _ = seconds(hosts, "--relay-only")
        raced, told = seconds(hosts)
        print(f"160 MB by the relay alone {alone:.1f} s, racing a slow direct path {raced:.1f} s")
        assert told == [("direct", "found"), ("relay", "slower")]
        assert raced < alone + 9


@pytest.mark.timing
def test_a_fast_direct_path_is_taken_and_kept(lab: Lab) -> None:
    with stage(lab, relay=2e6, direct=20e6) as hosts:
        write_large(hosts.ann.work / "large", 48 * MEGABYTE)
        alone, _ = seconds(hosts, "--relay-only")
        raced, told = seconds(hosts)
        print(f"48 MB by the relay alone {alone:.1f} s, racing a fast direct path {raced:.1f} s")
        assert told == [("direct", "found")]
        assert raced < alone / 3


@pytest.mark.parametrize("end", ["sender", "receiver"])
@pytest.mark.timing
def test_a_throttle_is_no_reason_to_leave(end: str, lab: Lab) -> None:
    """Either path gives more than the throttle lets through, so the direct one, which spares the
    relay, stays."""
    with stage(lab, relay=20e6, direct=5e6) as hosts:
        write_large(hosts.ann.work / "large", 24 * MEGABYTE)
        limit = ("--throttle", "2MB")
        sender = hosts.send("large", *(limit if end == "sender" else ()))
        receiver = hosts.receive(sender, *(limit if end == "receiver" else ()))
        done(hosts, sender, receiver)
        assert paths(sender) == paths(receiver) == ["relay", "direct"]


@pytest.mark.timing
def test_a_direct_path_below_the_throttle(lab: Lab) -> None:
    """The relay gave what the throttle lets through, the direct path does not: it goes back."""
    with stage(lab, relay=20e6, direct=1e6) as hosts:
        write_large(hosts.ann.work / "large", 64 * MEGABYTE)
        raced, told = seconds(hosts, "--throttle", "5MB")
        print(f"64 MB at 5 MB/s, racing a direct path of 1 MB/s: {raced:.1f} s")
        assert told == [("direct", "found"), ("relay", "slower")]
        assert raced < 13 + 12
