"""Asking a person for the safety number of the other side."""

from __future__ import annotations

from tallow_core.cli.prompts.question import ask
from tallow_core.errors import PolicyError, UsageError
from tallow_core.rendezvous.profile_checks import profile_of
from tallow_core.session.context import Context


async def ask_number() -> str:
    """One line of standard input; raises `UsageError` at its end."""
    answer = await ask("Type the number that the other side reads to you: ")
    if answer is None:
        raise UsageError(
            "the safety number is typed into standard input, which has ended: run it at a"
            " terminal, or write the number into its input"
        )
    return answer


def check_input(context: Context) -> None:
    """Standard input cannot be both what is sent and where the number is typed in: a `PolicyError`
    where policy asks for the number."""
    if context.policy.limits.safety_number:
        raise PolicyError(
            f"{profile_of(context)} has a safety number typed into standard input, which is what"
            " is to be sent here:"
            " write it to a file and send that"
        )
