"""What the signature of a command says about its command line beside names and types, as
`Annotated[str, Mark(...)]`.

Both readers of command lines work from it: `tallow_core.cli.args.plain_parser`, and cyclopts by way
of `tallow_core.cli.args.cyclopts_parser`.
"""

from __future__ import annotations

from typing import NamedTuple


class Mark(NamedTuple):
    """`names` stand for the parameter instead of its own: those of an option, or what the help
    calls a positional one.

    An option that is `counted` has no value; the parameter gets how often it was given. `hyphen`
    says that `-` alone is a value.
    """

    names: tuple[str, ...] = ()
    counted: bool = False
    hyphen: bool = False
