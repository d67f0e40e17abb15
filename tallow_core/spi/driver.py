"""What all drivers have in common."""

from __future__ import annotations

from abc import ABC
from types import MappingProxyType
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
    user sets arrives as `DriverSettings.options`. Only drivers that are built from settings have
    options. A field is `str`, `int`, `float`, `bool`, a `Literal`, a `tuple`, `list` or `dict` of
    these, with a range if it is `Annotated` with `msgspec.Meta`, and secret with `Secret()`.
    """

    size_bounds = MappingProxyType[str, tuple[int, int]]({})
    """Class variable -> (minimum, maximum) that the contract allows. It belongs to the contract,
    not to drivers."""

    api: ClassVar[int] = 1
    name: ClassVar[str]
    labels: ClassVar[frozenset[str]] = frozenset()
    preference: ClassVar[int] = 50
    options: ClassVar[type | None] = None


def size_breach(contract: type[Driver], driver: type[Driver]) -> str | None:
    """The sentence about the first class variable of `driver` that is outside the bounds of its
    contract, or None. It states the value and the bounds."""
    for name, (least, most) in contract.size_bounds.items():
        value = getattr(driver, name)
        if not least <= value <= most:
            allowed = f"exactly {most:,}" if least == most else f"{least:,} to {most:,}"
            return (
                f"{driver.__name__}.{name} is {value:,} bytes, and the contract"
                f" {contract.__name__} allows {allowed}"
            )
    return None
