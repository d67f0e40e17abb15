"""The checks of the descriptor of every driver, of any kind."""

from __future__ import annotations

import re

from tallow_core.spi.driver import Driver, size_breach
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


def within_bounds(contract: type[Driver], driver: type[Driver]) -> None:
    """Every size is an integer within the bounds of the contract."""
    for attribute in contract.size_bounds:
        value = getattr(driver, attribute, None)
        require(type(value) is int, f"{attribute} is {value!r}, not an int")
    sentence = size_breach(contract, driver)
    require(sentence is None, sentence or "")


def positive(driver: type[Driver], *attributes: str) -> None:
    """Each of `attributes` is an integer above zero."""
    for attribute in attributes:
        value = getattr(driver, attribute, None)
        require(
            isinstance(value, int) and value > 0, f"{attribute} is {value!r}, not a positive number"
        )
