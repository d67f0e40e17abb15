"""Which values a setting may have, beyond its type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tallow_core.offers import NAME
from tallow_core.registry.kinds import COMMAND, KINDS, SUITE_KINDS, kind_named, listed_kind
from tallow_core.registry.permissions import FIRST_PARTY, canonical
from tallow_core.text import printable

_YEAR = 366 * 86400
MIN_REKEY_BYTES, MIN_REKEY_SECONDS = 1 << 20, 1
"""Fresh keys come no more often than this, by a setting or at the request of a peer."""
RANGES: Mapping[str, tuple[float, float]] = {
    "relay_server.rooms": (1, 10_000_000),
    "relay_server.connections": (1, 1_000_000),
    "relay_server.connections_per_address": (1, 1_000_000),
    "relay_server.guests_per_room": (1, 64),
    "send.words": (3, 16),
    "send.wait": (0.001, _YEAR),
    "send.lifetime": (1, _YEAR),
    "send.throttle": (0, 1 << 50),
    "receive.wait": (0.001, _YEAR),
    "receive.unknown_size": (1, (1 << 63) - 1),
    "receive.throttle": (0, 1 << 50),
    "session.rekey_bytes": (MIN_REKEY_BYTES, 1 << 50),
    "session.rekey_seconds": (MIN_REKEY_SECONDS, _YEAR),
    "session.reconnect": (0, 86_400),
    "session.lanes": (0, 16),
    "passwords.memory_mib": (8, 4096),
}
"""Smallest and largest value of every number, both allowed."""

_DRIVER = re.compile(rf"([a-z]+):{NAME.pattern}")
_DISTRIBUTION = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"


def fault(name: str, value: object) -> str:
    """What is wrong with the value of `section.key`, of the right type, as the end of a sentence;
    "" if nothing is."""
    if name in RANGES and isinstance(value, int | float):
        low, high = RANGES[name]
        return "" if low <= value <= high else f"must be between {low} and {high}, not {value}"
    if name == "plugins.allow" and isinstance(value, tuple):
        wrong = [item for item in value if not re.fullmatch(_DISTRIBUTION, item)]
        return f"lists {printable(wrong[0])!r}, which is no name of a distribution" if wrong else ""
    if name == "plugins.block":
        return _not_to_block(value)
    if name == "policy.deny":
        return _not_a_driver(value) or _not_of(
            value,
            {kind.name for kind in KINDS if kind is not COMMAND},
            "use `[plugins] block` for it",
        )
    if name == "policy.rule" and isinstance(value, tuple):
        suite = {kind.name for kind in SUITE_KINDS}
        advice = "a rule narrows what two peers agree on; deny it in `[policy] deny`"
        faults = (
            (number, _not_a_driver(rule.deny) or _not_of(rule.deny, suite, advice))
            for number, rule in enumerate(value, 1)
        )
        return next((f"number {number}: deny {wrong}" for number, wrong in faults if wrong), "")
    return ""


def _not_to_block(value: object) -> str:
    for item in value if isinstance(value, tuple) else ():
        if canonical(item) == FIRST_PARTY:
            return f"lists {item!r}, all of Tallow's own drivers: list them one by one"
        kind = _DRIVER.fullmatch(item)
        if not re.fullmatch(_DISTRIBUTION, item) and not (kind and listed_kind(kind[1])):
            return (
                f"lists {printable(item)!r}, which is neither of the form kind:name nor a"
                " distribution"
            )
    return ""


def _not_a_driver(value: object) -> str:
    wrong = (
        [item for item in value if not _names_a_driver(item)] if isinstance(value, tuple) else []
    )
    return f"lists {printable(wrong[0])!r}, which is not of the form kind:name" if wrong else ""


def _not_of(value: object, kinds: Iterable[str], advice: str) -> str:
    """Say that a driver is named whose kind is none of `kinds`; "" if there is none."""
    wrong = (
        [item for item in value if item.partition(":")[0] not in kinds]
        if isinstance(value, tuple)
        else []
    )
    return f"lists {printable(wrong[0])!r}: {advice}" if wrong else ""


def _names_a_driver(item: str) -> bool:
    found = _DRIVER.fullmatch(item)
    return found is not None and kind_named(found[1]) is not None
