"""`tallow send`."""

from __future__ import annotations

from typing import Annotated

from tallow_core.cli.args.argument_exposure import warn_of_argument
from tallow_core.cli.args.marks import Mark
from tallow_core.cli.args.options import CommonOptions, PeerOptions
from tallow_core.cli.entry import invocation
from tallow_core.cli.entry.event_loop import run_loop
from tallow_core.cli.views.sentences import worded
from tallow_core.errors import UsageError

_COMMON, _PEER_OPTIONS = CommonOptions(), PeerOptions()


def send(
    *paths: Annotated[str, Mark(("PATH",), hyphen=True)],
    text: str | None = None,
    code: str | None = None,
    words: int | None = None,
    listen: tuple[str, ...] = (),
    follow: bool = False,
    git: bool = False,
    exclude: tuple[str, ...] = (),
    dry_run: bool = False,
    anew: bool = False,
    peer_options: PeerOptions = _PEER_OPTIONS,
    common: CommonOptions = _COMMON,
) -> int:
    """Print a code, and send files, folders, a text or standard input to the receiver who types it.

    Parameters
    ----------
    paths
        Files and folders; - is standard input.
    text
        Send this text instead of files.
    code
        Wait under this code instead of a new one ($TALLOW_CODE); agree on it beforehand, use it
        once.
    words
        How many words a new code has (3).
    follow
        Send what symbolic links in folders lead to in their place.
    git
        Leave out .git and what .gitignore files name.
    exclude
        Leave out what this pattern names, written as in a .gitignore file; may be repeated.
    dry_run
        List what would be sent and what is left out; make no code and no connection.
    anew
        Forget a transfer of the same that was interrupted, and send everything again.
    listen
        Listen at HOST:PORT (port 0: a free one) for peers that come directly; may be repeated.
    """
    if text is not None and paths:
        raise UsageError("--text and paths exclude each other; leave one out")
    if text is None and not paths:
        raise UsageError(
            "name what to send: files and folders, - for standard input, or --text TEXT"
        )
    if "-" in paths and len(paths) > 1:
        raise UsageError("standard input (-) is sent alone; leave out the other paths")
    filtered = follow or git or exclude or dry_run
    if filtered and (text is not None or "-" in paths):
        raise UsageError(
            "--follow, --git, --exclude and --dry-run are for files and folders; leave them out"
        )
    flags = {**peer_options.flags("send"), "send.words": words, "send.listen": listen or None}
    if dry_run:
        _list_only(common, flags, paths, follow, git, exclude)
        return 0
    reporter = invocation.report_to(common)
    settings = invocation.load(common, flags)
    if code is not None:
        warn_of_argument(reporter, "put it into TALLOW_CODE instead")

    from tallow_core.app.send_call import send as send_payload
    from tallow_core.cli.prompts.safety_prompt import ask_number, check_input

    stream = paths == ("-",)
    if stream:
        check_input(settings)
    run_loop(
        send_payload(
            () if stream else paths,
            text=text,
            stream=0 if stream else None,
            code=code or invocation.current().environment_code,
            follow=follow,
            git=git,
            exclude=exclude,
            anew=anew,
            settings=settings,
            on_event=reporter.emit,
            on_warning=reporter.warn,
            on_note=reporter.note,
            word=worded,
            ask_number=ask_number,
        )
    )
    return 0


def _list_only(
    common: CommonOptions,
    flags: dict[str, object],
    paths: tuple[str, ...],
    follow: bool,
    git: bool,
    exclude: tuple[str, ...],
) -> None:
    from tallow_core.cli.commands.dry_run import dry_run
    from tallow_core.files.source.tree_filter import TreeOptions

    dry_run(invocation.context(common, flags), paths, TreeOptions(follow, git, exclude))
