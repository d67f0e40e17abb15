"""Safety numbers, which two people compare by voice to rule out a third party between them
(docs/protocol/handshake.md, "Safety number").

number_host = K("safety host", 16 bytes) mod 10^15, number_guest likewise: 15 decimal digits each,
in groups of five. Each end shows its own number and expects the other one, so typing the number on
one's own screen does not pass. Both come from the first root of the session.
"""

from __future__ import annotations

import re

from tallow_core.protocol.handshake.key_schedule import SAFETY, Schedule
from tallow_core.secrets import equal
from tallow_core.types import Role

DIGITS = 15
"""The number of digits, for 49.8 bits. docs/protocol/handshake.md gives the reasons."""


def safety_number(schedule: Schedule, role: Role) -> str:
    """The number that the end of `role` shows, as `DDDDD DDDDD DDDDD`.

    2^128 is no multiple of 10^15; the bias is below 2^-78.
    """
    number = int.from_bytes(schedule.key(SAFETY[role.value], length=16), "big") % 10**DIGITS
    digits = f"{number:0{DIGITS}}"
    return " ".join(digits[at : at + 5] for at in range(0, DIGITS, 5))


def same_number(typed: str, number: str) -> bool:
    """Whether `typed` is `number`, without regard to spaces and hyphens. The time depends on the
    lengths only."""
    return equal(_bare(typed), _bare(number))


def _bare(number: str) -> bytes:
    return re.sub(r"[\s-]", "", number).encode()
