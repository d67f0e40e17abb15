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

    A parameter of the function before `/` is an argument, one after `*` an option: `keep_all: bool`
    is `--keep-all`. Without a default it has to be given. Its type says how its text is read:
    `str`, `int`, `float`, `bool`, `pathlib.Path`, `Literal`, an `Enum`, or a list of one of these.
    A section `Parameters` of the docstring (numpydoc) describes it in the help.

    What the function prints is the result; everything else goes to standard error.
    """

    @classmethod
    @abstractmethod
    def function(cls) -> Callable[..., Any]:
        """The typed function that becomes the command; its docstring is the help, what it
        returns (None or an int) the exit status. It may raise any `TallowError`."""
