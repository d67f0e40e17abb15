"""The plugins that a user allows and blocks: the catalogue's part of the settings."""

from __future__ import annotations

import re
from typing import NamedTuple

FIRST_PARTY = "tallow"
"""The one distribution whose drivers need no permission."""

BLOCK_VARIABLE = "TALLOW_BLOCK_PLUGINS"
"""Drivers (as `kind:name`) and distributions that may not be loaded, beside those that the config
file blocks."""


def canonical(distribution: str) -> str:
    """The name of a distribution as packaging tools compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class Permissions(NamedTuple):
    """`[plugins]`: `allow` names distributions beside tallow's own; `block` names drivers of any
    distribution as `kind:name`, and whole distributions.

    TALLOW_BLOCK_PLUGINS adds to `block`; it removes nothing from it.
    """

    allow: tuple[str, ...] = ()
    block: tuple[str, ...] = ()

    def allows(self, distribution: str) -> bool:
        """Whether drivers of `distribution` may be loaded at all."""
        return canonical(distribution) in {FIRST_PARTY, *map(canonical, self.allow)}

    def blocks_distribution(self, distribution: str) -> bool:
        """Whether `block` names the whole distribution."""
        return canonical(distribution) in {
            canonical(each) for each in self.block if ":" not in each
        }
