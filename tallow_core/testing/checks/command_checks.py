"""What every command has to do before it is run. Each check takes the driver class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import get_type_hints

from tallow_core.spi.command import Command
from tallow_core.testing.checks.driver_checks import descriptor_is_complete
from tallow_core.testing.expect import ConformanceError, require


def function_is_plain(driver: type[Command]) -> None:
    """`function` gives a function that is called, no coroutine function."""
    function = driver.function()
    require(callable(function), f"function() gives {function!r}, which cannot be called")
    require(
        not inspect.iscoroutinefunction(function),
        "function() gives a coroutine function, and a command is a plain one",
    )


def help_can_be_shown(driver: type[Command]) -> None:
    """The function has a docstring, and a type for each parameter."""
    function = driver.function()
    require(bool(inspect.getdoc(function)), "the function has no docstring, which is its help")
    try:
        hints = get_type_hints(function)
    except NameError as error:
        raise ConformanceError(f"a type of its parameters cannot be read: {error}") from error
    for name in inspect.signature(function).parameters:
        require(name in hints, f"the parameter {name} has no type")


CHECKS: tuple[Callable[[type[Command]], None], ...] = (
    descriptor_is_complete,
    function_is_plain,
    help_can_be_shown,
)
