"""The checks of the descriptor of every driver, of any kind."""

from __future__ import annotations

import re
from typing import Any, get_args

from tallow_core.spi.driver import Driver, size_breach
from tallow_core.testing.expect import require
from tallow_core.types import Touch

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def descriptor_is_complete(driver: type[Driver]) -> None:
    """The name is one that a user can type, labels are a frozen set of such words, preference is a
    number."""
    require(
        NAME.fullmatch(driver.name) is not None,
        f"the name {driver.name!r} is not [a-z0-9][a-z0-9-]{{0,31}}",
    )
    require(isinstance(driver.labels, frozenset), "labels are not a frozenset")
    require(
        all(NAME.fullmatch(label) for label in driver.labels),
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


def network_facts_are_stated(driver: Any) -> None:
    """`touches` lists known kinds of use, `reveals` is a sentence."""
    known = set(get_args(Touch))
    require(
        isinstance(driver.touches, frozenset) and driver.touches <= known,
        f"`touches` is {driver.touches!r}, not a frozenset of {sorted(known)}",
    )
    require(
        isinstance(driver.reveals, str) and driver.reveals.endswith("."),
        "`reveals` is not a sentence",
    )


def positive(driver: type[Driver], *attributes: str) -> None:
    """Each of `attributes` is an integer above zero."""
    for attribute in attributes:
        value = getattr(driver, attribute, None)
        require(
            isinstance(value, int) and value > 0, f"{attribute} is {value!r}, not a positive number"
        )
