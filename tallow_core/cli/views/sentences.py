"""The next steps of errors, warnings and notes, and the names of options, in the words of the
command line."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tallow_core.errors import NextStep, Step, TallowError

_TYPE_THERE = "\nand type the code there. {text}"

STEPS: Mapping[Step, str] = MappingProxyType(
    {
        "choose another output": "; make room or use --output",
        "choose another transport": "; use another one with --listen",
        "choose a proxy": "; choose one with --proxy",
        "go on there": ": to go on there, receive with --output {output}",
        "leave out the direct path": (
            ", and {option} does: leave it out, and name a relay with its pin"
        ),
        "leave out the profile": ": leave out --profile",
        "list the drivers": ", as `tallow plugins list` shows them",
        "make a longer code": ", made with `tallow send --words {words}`",
        "name a relay": (
            ": name one with --relay {scheme}://HOST:PORT#sha256=PIN or in [relay] urls"
        ),
        "name a way to be reached": (
            ": name a relay (--relay URL) or an address (--listen HOST:PORT)"
        ),
        "name a way to the sender": ": name a relay (--relay URL) or an address (--at HOST:PORT)",
        "receive at the address": (
            f"On the other machine, run:  tallow receive --at {{address}}{_TYPE_THERE}"
        ),
        "receive by the relay": (
            f"On the other machine, run:  tallow receive --relay '{{relay}}'{_TYPE_THERE}"
        ),
        "receive by the same relay": (
            f"On the other machine, with the same relay, run:  tallow receive{_TYPE_THERE}"
        ),
        "receive on this machine": (
            "On this machine, run:  tallow receive\n(for another one, name a relay with --relay,"
            f" or an address of yours with --listen){_TYPE_THERE}"
        ),
        "search elsewhere": "; only this machine was searched: name the sender's --relay, or --at",
        "send anew": ": restore it, or send everything anew with --anew",
        "use standard output": ": use --stdout",
        "use the encrypted URL": "; use its {scheme}:// URL, as `tallow relay serve` prints it",
        "write the pin": (
            "; write the whole URL that `tallow relay serve` prints there,"
            " {scheme}://HOST:PORT#sha256=PIN"
        ),
    }
)
"""Step -> what follows the text, or all that is said where it has a place for `text`. The facts are
filled in."""
_DIRECT = {
    "dial": "dialling the sender (--at)",
    "listen": "listening (--listen, or `[send] listen`)",
}
_OPTIONS = {"relay.only": "relay-only", "relay.urls": "relay"}
"""Setting -> its option, where that is not the key."""


def sentence(error: TallowError) -> str:
    """What a person reads of `error`."""
    return worded(str(error), error.next_step)


def worded(text: str, step: NextStep | None) -> str:
    """`text` with its next step."""
    if step is None:
        return text
    template, option = STEPS[step.step], _DIRECT.get(str(step.facts.get("role")), "")
    whole = template.format(**step.facts, option=option, text=text)
    return whole if "{text}" in template else text + whole


def option_name(setting: str) -> str:
    """The option that sets `setting`, a dotted name of `load_settings`."""
    key = setting.rpartition(".")[2].replace("_", "-")
    return f"--{_OPTIONS.get(setting, key)}"
