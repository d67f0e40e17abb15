"""Three hosts with networks of their own, for the tests that race paths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.lab import Lab
from tests.kit.namespaces import made
from tests.kit.stage import Stage


@pytest.fixture
def stage(lab: Lab) -> Iterator[Stage]:
    """The hosts, with a third wire that has no addresses yet."""
    network = made()
    try:
        sender, receiver, relay = network.host("s"), network.host("r"), network.host("m")
        network.address(relay, "lo", "10.0.0.1/32")
        for number, host in enumerate((sender, receiver), 1):
            network.wire(host, relay, f"leg{number}")
            network.address(host, f"leg{number}", f"10.{number}.0.1/24")
            network.address(relay, f"leg{number}", f"10.{number}.0.254/24")
            network.route(host, "default", f"10.{number}.0.254")
        network.wire(sender, receiver, "direct")
        served = lab.start(
            lab.place(), "relay", "serve", "--bind", "10.0.0.1:0", program=network.program(relay)
        )
        ann, bob = lab.pair(apart=True)
        yield Stage(lab, network, sender, receiver, served.prints(), ann, bob, relay)
        lab.close()
    finally:
        network.close()
