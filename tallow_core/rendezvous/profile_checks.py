"""The checks of what the profile forbids, made before a code is shown, a relay is dialled or a
person is asked.

Every refusal is a `PolicyError` that names the profile, where it was chosen, and what to write
instead.
"""

from __future__ import annotations

from tallow_core.config.profiles import Limits
from tallow_core.config.schema import Settings
from tallow_core.errors import PolicyError
from tallow_core.protocol.handshake.code import MIN_WORDS, Code
from tallow_core.protocol.handshake.handshake_machine import Wish
from tallow_core.session.context import Context
from tallow_core.spi.transport import TransportRole
from tallow_core.types import Endpoint


def profile_of(settings: Settings) -> str:
    """The profile and its origin, for messages."""
    return (
        f'the profile "{settings.policy.profile}" (`[policy] profile`,'
        f" {settings.origin('policy.profile')})"
    )


def wishes(limits: Limits) -> Wish:
    """The wishes that this end has for a session."""
    return (Wish.PAD if limits.padded else Wish.NONE) | (
        Wish.SAFETY if limits.safety_number else Wish.NONE
    )


def check_code(context: Context, code: Code) -> None:
    """Refuse a code with too few words; where more than three are asked for, also a secret
    that a person made up."""
    least = context.policy.limits.words
    if least > MIN_WORDS and code.count < least:
        what = "a secret that a person made up" if code.custom else f"a code of {code.count} words"
        raise PolicyError(
            f"{profile_of(context.settings)} takes codes of {least} or more words of the list, not"
            f" {what}; use a new one"
        ).then("make a longer code", words=least)


def check_pin(context: Context, endpoint: Endpoint) -> None:
    """Refuse a relay whose URL has no pin."""
    if context.policy.limits.pinned and endpoint.pin is None:
        scheme = context.network.default_scheme("dial", encrypted=True)
        raise PolicyError(
            f"{profile_of(context.settings)} uses relays with a pin only, and {endpoint.url} has"
            " none"
        ).then("write the pin", scheme=scheme)


def check_hidden(context: Context, urls: tuple[str, ...], direct: TransportRole | None) -> None:
    """Refuse a `direct` path that was asked for, and a session without a relay, if no address of
    this machine may be given away."""
    if not context.hidden:
        return
    who = (
        profile_of(context.settings)
        if context.policy.limits.hidden
        else (
            f"{context.settings.option('relay.only')} (`[relay] only`,"
            f" {context.settings.origin('relay.only')})"
        )
    )
    if direct:
        raise PolicyError(f"{who} gives no address of this machine away").then(
            "leave out the direct path", role=direct
        )
    if not urls:
        scheme = context.network.default_scheme("dial", encrypted=True)
        raise PolicyError(
            f"{who} gives no address of this machine away, so a relay with a pin is needed"
        ).then("name a relay", scheme=scheme)
