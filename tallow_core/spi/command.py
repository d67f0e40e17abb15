"""The contract of a sub-command that a plugin adds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from tallow_core.spi.driver import Driver


class Command(Driver):
    """A verb of the command line: `tallow NAME ...`.

    The first line of the module's docstring is its line in `tallow --help`, read as text: the help
    imports no plugin.
    """

    @classmethod
    @abstractmethod
    def function(cls) -> Callable[..., Any]:
        """The typed function that becomes the command; its parameters are the options, its
        docstring the help, what it returns (None or an int) the exit status. It may raise any
        `TallowError`."""
