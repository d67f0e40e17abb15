"""What every driver's descriptor must say, whatever its kind."""

from __future__ import annotations

import re

from tallow_core.spi.driver import Driver
from tallow_core.testing.expect import require

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def descriptor_is_complete(driver: type[Driver]) -> None:
    """The name is one that a user can type, labels are a frozen set of such words, preference is a
    number."""
    require(
        _NAME.fullmatch(driver.name) is not None,
        f"the name {driver.name!r} is not [a-z0-9][a-z0-9-]{{0,31}}",
    )
    require(isinstance(driver.labels, frozenset), "labels are not a frozenset")
    require(
        all(_NAME.fullmatch(label) for label in driver.labels),
        "a label is not [a-z0-9][a-z0-9-]{0,31}",
    )
    require(isinstance(driver.preference, int), "preference is not an int")


def positive(driver: type[Driver], *attributes: str) -> None:
    """Each of `attributes` is an integer above zero."""
    for attribute in attributes:
        value = getattr(driver, attribute, None)
        require(
            isinstance(value, int) and value > 0, f"{attribute} is {value!r}, not a positive number"
        )
