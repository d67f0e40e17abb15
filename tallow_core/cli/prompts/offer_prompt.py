"""Receiving with a person at the keyboard: the code is asked for, the offer shown, the answer
taken."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from functools import partial
from typing import Literal, TypeAlias

from tallow_core.aio import detached
from tallow_core.app.incoming_offer import DECLINED, Accept, IncomingOffer
from tallow_core.app.receive_call import receive
from tallow_core.cli.prompts.entry_choice import by_patterns, by_words, described, numbered
from tallow_core.cli.prompts.question import ask
from tallow_core.cli.prompts.safety_prompt import ask_number
from tallow_core.cli.views.output import results, say
from tallow_core.cli.views.reporters import interactive, size_text
from tallow_core.cli.views.sentences import worded
from tallow_core.config.schema import Settings
from tallow_core.errors import FileSystemError, RefusedError, UsageError
from tallow_core.events import Reporter
from tallow_core.protocol.handshake.code import parse_code
from tallow_core.protocol.transfer.manifest_entry import Entry
from tallow_core.protocol.transfer.offer_pages import Counts
from tallow_core.protocol.transfer.selection import WANTED, Selection
from tallow_core.text import printable
from tallow_core.transfer.decision import check_space

Taken: TypeAlias = Literal["never", "rename", "always"]
"""What is done where a name is taken."""
LINES = 40
"""An offer of more entries is summarised by top-level name; the whole list is a key away."""


class ReceiveCommand:
    """One run of `tallow receive`."""

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        *,
        to_stdout: bool,
        yes: bool,
        only: tuple[str, ...] = (),
    ) -> None:
        self._settings = settings
        self._reporter = reporter
        self._to_stdout = to_stdout
        self._yes = yes
        self._only = by_patterns(only) if only else None

    async def run(self, phrase: str | None, at: str | None) -> None:
        """Ask for the code if need be, and receive; raises any `TallowError`."""
        if phrase is None:
            phrase = await ask("Code: ", quietly=True)
            if not phrase:
                raise UsageError(
                    "no code was given: type it when asked, give it as an argument, or set"
                    " TALLOW_CODE"
                )
        parse_code(phrase)  # before the output folder is looked at
        if not self._to_stdout:
            _check_output(self._settings.receive.output)
        await receive(
            phrase,
            accept=self._decide,
            at=at,
            settings=self._settings,
            on_event=self._reporter.emit,
            on_warning=self._reporter.warn,
            on_note=self._reporter.note,
            word=worded,
            ask_number=ask_number,
        )

    # -- the decision ----------------------------------------------------------------------------

    async def _decide(self, offered: IncomingOffer) -> Accept:
        if offered.kind == "text":
            raw = self._to_stdout and not os.isatty(results().fileno())
            return Accept(into=results().fileno() if raw else None)
        # What looks at every entry does so on a thread: the other side must go on hearing from us.
        only = self._only
        selection = (
            offered.everything() if only is None else await detached(partial(offered.only, only))
        )
        if not selection.counts.entries:
            raise UsageError(
                "nothing of what is offered matches --only; `tallow receive` without it shows the"
                " list"
            )
        if self._to_stdout:
            self._check_single(selection)
        selection = await self._accept(offered, selection)
        if self._to_stdout:
            self._check_single(selection)
            return Accept(selection, into=results().fileno())
        if not offered.resumable:
            output = self._settings.receive.output
            check_space(output, selection.counts.stored)
            return Accept(selection, overwrite=await self._overwrite(offered, output, selection))
        return Accept(selection)

    def _check_single(self, selection: Selection) -> None:
        counts = selection.counts
        if counts.files != 1 or counts.links or (selection.whole and counts.directories):
            raise UsageError(
                f"--stdout takes one file, but {counts.files} are offered; receive into a folder,"
                " or name one with --only"
            )

    async def _accept(self, offered: IncomingOffer, selection: Selection) -> Selection:
        if self._yes:
            return selection
        several = offered.count > 1
        while True:
            # On a thread: a long list takes a while to read.
            await detached(partial(_show, offered, selection))
            if offered.resumable:
                say(
                    "This goes on with a transfer that was interrupted: what is here already is"
                    " not sent again."
                )
            answer = await self._asked(offered, selection, choose=several)
            if answer in ("y", "yes"):
                return selection
            if answer in ("", "n", "no", "q"):
                raise RefusedError(DECLINED)
            if answer == "s" and several:
                selection = await _choose(offered) or selection

    async def _asked(self, offered: IncomingOffer, selection: Selection, *, choose: bool) -> str:
        """The answer to the question, asked again after a list of everything."""
        long = selection.counts.entries > LINES
        more = ("/s to choose" if choose else "") + ("/l to list all" if long else "")
        while True:
            answer = await ask(f"Receive {counted(selection.counts)}? [y/N{more}] ")
            if answer is None:
                raise UsageError(
                    "nobody answered on standard input, so nothing was accepted; add --yes to"
                    " accept without asking"
                )
            if answer.lower() != "l" or not long:
                return answer.lower()
            await page(_listed(offered, selection))

    async def _overwrite(self, offered: IncomingOffer, output: str, selection: Selection) -> Taken:
        wanted = self._settings.receive.overwrite
        if wanted != "ask":
            return wanted
        if self._yes or not interactive():
            return "rename"
        taken = await detached(lambda: _taken(offered, output, selection))
        if not taken:
            return "rename"
        names = ", ".join(printable(name) for name in taken[:5]) + (
            ", ..." if len(taken) > 5 else ""
        )
        answers: dict[str, Taken] = {"": "rename", "r": "rename", "o": "always", "k": "never"}
        while True:
            answer = await ask(
                f"Here already: {names}. [R]ename what comes, [o]verwrite, [k]eep what is here, or"
                " [q]uit? "
            )
            if answer is None or answer.lower() in ("q", "n"):
                raise RefusedError(DECLINED)
            if answer.lower() in answers:
                return answers[answer.lower()]


def _check_output(output: str) -> None:
    """Say what is wrong with the output folder before the code is used up."""
    if os.path.exists(output) and not os.path.isdir(output):
        raise FileSystemError(f"{printable(output)} is not a folder; name another with --output")
    if os.path.isdir(output) and not os.access(output, os.W_OK | os.X_OK):
        raise FileSystemError(
            f"nothing can be written in {printable(output)}; name another folder with --output"
        )


def _taken(offered: IncomingOffer, output: str, selection: Selection) -> list[str]:
    """The top-level names that exist in `output`: a hint for the question. What is done
    is decided when files land."""
    names = (
        entry.components[0] for entry in _wanted(offered, selection) if len(entry.components) == 1
    )
    return [
        name
        for name in itertools.islice(names, 10_000)
        if os.path.lexists(os.path.join(output, name))
    ]


async def _choose(offered: IncomingOffer) -> Selection | None:
    """Let single entries be taken or refused (T-09); None if that leaves everything as it was."""
    await page(numbered(offered))
    while True:
        answer = await ask(
            "Which ones? Numbers and ranges (1 3-5) or patterns (*.txt), - in front to leave out,"
            " Enter to go back: "
        )
        if not answer:
            return None
        try:
            selection = await detached(partial(offered.only, by_words(answer)))
        except UsageError as error:
            say(str(error))
            continue
        if selection.counts.entries:
            return selection
        say("nothing is left then; to refuse everything, answer n to the next question")


def counted(counts: Counts) -> str:
    """What a selection comes to, for people."""
    files = f"{counts.files} {'file' if counts.files == 1 else 'files'}"
    links = f", {counts.links} {'link' if counts.links == 1 else 'links'}" if counts.links else ""
    return f"{files}{links}, {'of unknown size' if counts.size is None else size_text(counts.size)}"


def _wanted(offered: IncomingOffer, selection: Selection) -> Iterator[Entry]:
    return (
        entry for number, entry in enumerate(offered.entries()) if selection.flags(number) & WANTED
    )


def _listed(offered: IncomingOffer, selection: Selection) -> Iterator[str]:
    return (f"  {described(entry)}" for entry in _wanted(offered, selection))


def _summary(offered: IncomingOffer, selection: Selection) -> Iterator[str]:
    """One line for each top-level name; canonical order puts all that belongs to one together."""
    for name, group in itertools.groupby(
        _wanted(offered, selection), key=lambda entry: entry.components[0]
    ):
        counts = Counts()
        for entry in group:
            counts.add(entry)
        folder = f"/  {counts.files} files" if counts.directories else ""
        yield (
            f"  {printable(name)}{folder}  {'?' if counts.size is None else size_text(counts.size)}"
        )


def _show(offered: IncomingOffer, selection: Selection) -> None:
    lines = (
        _listed(offered, selection)
        if selection.counts.entries <= LINES
        else _summary(offered, selection)
    )
    for line in itertools.islice(lines, LINES):
        say(line)
    rest = sum(1 for _ in lines)
    if rest:
        say(f"  ... and {rest} more")


async def page(lines: Iterator[str]) -> None:
    """Show a list a screen at a time."""
    while batch := list(itertools.islice(lines, LINES)):
        say("\n".join(batch))
        if len(batch) == LINES and await ask("-- Enter for more, q to stop listing -- "):
            return
