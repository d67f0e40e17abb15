"""Names and links as they are on this disk, and as they are sent."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tallow_core.protocol.transfer.path_names import check_target

_UNDECODABLE = re.compile("[\udc80-\udcff]")
"""Matches a code point by which Python stands for a byte of a name that is not UTF-8 (PEP 383)."""


def wire_name(name: str) -> str:
    """The name under which a file of this name on the disk is sent: each byte that is not UTF-8 as
    `%XX`."""
    return (
        name
        if name.isascii()
        else _UNDECODABLE.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", name)
    )


def kept_target(components: Sequence[str], target: str) -> str | None:
    """The target under which a link is sent: relative, without `.` and empty parts; None if it may
    not be sent (`check_target`)."""
    if target.startswith("/"):
        return None
    plain = "/".join(part for part in target.split("/") if part not in ("", ".")) or "."
    return None if check_target(components, plain) else plain
