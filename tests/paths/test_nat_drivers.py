"""What of a nat driver's answers the core takes."""

from __future__ import annotations

import pytest

from tallow_core.paths.nat_drivers import _is_usable
from tallow_core.spi.nat import Reach
from tallow_core.types import SocketAddress

GOOD = Reach("host", "tcp", "192.0.2.1", 0, SocketAddress("192.0.2.1", 0), None)


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({}, True),
        ({"address": "eth0"}, False),
        ({"base": SocketAddress("eth0", 0)}, False),
        ({"kind": "elsewhere"}, False),
        ({"protocol": "sctp"}, False),
        ({"port": 70000}, False),
        ({"data": bytes(513)}, False),
        ({"address": "127.0.0.1"}, False),
    ],
)
def test_a_reach_that_does_not_fit_is_passed_over(change: dict[str, object], usable: bool) -> None:
    """One that got through would end the session where the core reads it."""
    assert _is_usable(GOOD._replace(**change)) is usable  # type: ignore[arg-type]
