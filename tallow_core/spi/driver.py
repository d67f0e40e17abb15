"""What all drivers have in common."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

API_VERSION = 1
"""The version of the contracts in this package (docs/reference/versioning.md)."""


class Driver(ABC):
    """One implementation of one kind.

    `name` is how a user types it and equals the entry point's name: `[a-z0-9][a-z0-9-]{0,31}`.
    `labels` are the strengths that policy may ask for (`post-quantum`, `hybrid`); they are the
    author's word. `preference` orders drivers that policy does not order itself, smallest first.

    `api` is the version of the contracts that the driver is written for: a driver for a newer one
    than `API_VERSION` is refused. `options` is the class of the driver's settings, a `NamedTuple`
    or a frozen dataclass whose fields all have types and defaults, or None if it has none; what a
    user sets arrives as `DriverSettings.options`.
    """

    api: ClassVar[int] = 1
    name: ClassVar[str]
    labels: ClassVar[frozenset[str]] = frozenset()
    preference: ClassVar[int] = 50
    options: ClassVar[type | None] = None
