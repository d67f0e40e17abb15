"""`tallow receive`."""

from __future__ import annotations

from typing import Annotated, Literal

from tallow_core.cli.args.argument_exposure import warn_of_argument
from tallow_core.cli.args.marks import Mark
from tallow_core.cli.args.options import CommonOptions, PeerOptions
from tallow_core.cli.entry import invocation
from tallow_core.cli.entry.event_loop import run_loop

_COMMON, _PEER_OPTIONS = CommonOptions(), PeerOptions()


def receive(
    *code: Annotated[str, Mark(("CODE",))],
    output: Annotated[str | None, Mark(("--output", "-o"))] = None,
    stdout: bool = False,
    yes: Annotated[bool, Mark(("--yes", "-y"))] = False,
    overwrite: Literal["ask", "never", "rename", "always"] | None = None,
    only: tuple[str, ...] = (),
    at: str | None = None,
    peer_options: PeerOptions = _PEER_OPTIONS,
    common: CommonOptions = _COMMON,
) -> int:
    """Receive what was sent under a code. Without CODE, it is asked for: other users of the machine
    can see arguments.

    Parameters
    ----------
    code
        The code that the sender shows, with hyphens or spaces (else $TALLOW_CODE, else asked for).
    output
        The folder to receive into (.); made if it does not exist.
    stdout
        Write the one file or text to standard output; events and questions go to standard error.
    yes
        Accept what is offered without asking.
    overwrite
        What to do where a name exists: ask (rename without a terminal or with --yes), never,
        rename, always.
    only
        Take only what this pattern names, written as in a .gitignore file; may be repeated.
    at
        Where the sender listens: [SCHEME://]HOST:PORT (without a scheme: the first transport
        that policy admits); no other place is
        tried.
    """
    flags = {
        **peer_options.flags("receive"),
        "receive.output": output,
        "receive.overwrite": overwrite,
    }
    reporter = invocation.report_to(common, stdout_is_data=stdout)
    settings = invocation.load(common, flags)
    if code:
        warn_of_argument(reporter, "type it when asked, or put it into TALLOW_CODE")

    from tallow_core.cli.prompts.offer_prompt import ReceiveCommand

    command = ReceiveCommand(settings, reporter, to_stdout=stdout, yes=yes, only=only)
    run_loop(command.run(" ".join(code) or invocation.current().environment_code, at))
    return 0
