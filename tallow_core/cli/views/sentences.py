"""The next steps of errors, in the words of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tallow_core.errors import Step, TallowError

STEPS: Mapping[Step, str] = MappingProxyType(
    {
        "choose another output": "; make room or use --output",
        "choose another transport": "; use another one with --listen",
        "choose a proxy": "; choose one with --proxy",
        "leave out the direct path": (
            ", and {option} does: leave it out, and name a relay with its pin"
        ),
        "make a longer code": ", made with `tallow send --words {words}`",
        "name a relay": (
            ": name one with --relay {scheme}://HOST:PORT#sha256=PIN or in [relay] urls"
        ),
        "name a way to be reached": (
            ": name a relay (--relay URL) or an address (--listen HOST:PORT)"
        ),
        "name a way to the sender": ": name a relay (--relay URL) or an address (--at HOST:PORT)",
        "search elsewhere": "; only this machine was searched: name the sender's --relay, or --at",
        "send anew": ": restore it, or send everything anew with --anew",
        "write the pin": (
            "; write the whole URL that `tallow relay serve` prints there,"
            " {scheme}://HOST:PORT#sha256=PIN"
        ),
    }
)
"""Step -> what follows the sentence of the error; its facts are filled in."""
_DIRECT = {
    "dial": "dialling the sender (--at)",
    "listen": "listening (--listen, or `[send] listen`)",
}


def sentence(error: TallowError) -> str:
    """What a person reads of `error`."""
    text = str(error)
    if error.next_step is not None:
        step, facts = error.next_step
        option = _DIRECT.get(str(facts.get("role")), "")
        text += STEPS[step].format(**facts, option=option)
    return text if text.endswith("...") else text.rstrip(".")
