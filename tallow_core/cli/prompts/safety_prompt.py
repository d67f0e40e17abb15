"""Asking a person for the safety number of the other side."""

from __future__ import annotations

from tallow_core.cli.prompts.question import ask
from tallow_core.config.profiles import PROFILES
from tallow_core.config.schema import Settings
from tallow_core.errors import PolicyError, UsageError
from tallow_core.rendezvous.profile_checks import profile_of


async def ask_number() -> str:
    """One line of standard input; raises `UsageError` at its end."""
    answer = await ask("Type the number that the other side reads to you: ")
    if answer is None:
        raise UsageError(
            "the safety number is typed into standard input, which has ended: run it at a"
            " terminal, or write the number into its input"
        )
    return answer


def check_input(settings: Settings) -> None:
    """Standard input cannot be both what is sent and where the number is typed in: a `PolicyError`
    where policy asks for the number."""
    if PROFILES[settings.policy.profile].limits.safety_number:
        raise PolicyError(
            f"{profile_of(settings)} has a safety number typed into standard input, which is what"
            " is to be sent here:"
            " write it to a file and send that"
        )
