"""Receiving with a person at the keyboard: the code is asked for, the offer shown, the answer taken."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator

from tallow_core.cli.asking import ask
from tallow_core.cli.comparing import ask_number
from tallow_core.cli.output import put, tell
from tallow_core.cli.report import interactive, size_text
from tallow_core.dataplane.blocking import detached
from tallow_core.dataplane.landing import Overwrite
from tallow_core.errors import FileSystemError, RefusedError, UsageError
from tallow_core.protocol.code import parse_code
from tallow_core.protocol.manifest import EntryKind, OfferKind
from tallow_core.runtime.context import Context
from tallow_core.runtime.receiving import FolderSink, Offered, Sink, StreamSink, TextSink, check_space, receive, top_level
from tallow_core.text import printable

LINES = 40
"""An offer of more entries is summarised by top-level name; the whole list is a key away."""


class ReceiveCommand:
    """One run of `tallow receive`."""

    def __init__(self, context: Context, *, to_stdout: bool, yes: bool, json: bool) -> None:
        self._context = context
        self._to_stdout = to_stdout
        self._yes = yes
        self._json = json
        self._text: TextSink | None = None

    async def run(self, phrase: str | None, at: str | None) -> None:
        """Ask for the code if need be, and receive; raises any `TallowError`."""
        if phrase is None:
            phrase = await ask("Code: ", quietly=True)
            if not phrase:
                raise UsageError("no code was given: type it when asked, give it as an argument, or set TALLOW_CODE")
        code = parse_code(phrase)
        if not self._to_stdout:
            _check_output(self._context.settings.receive.output)
        await receive(self._context, code, at, self._decide, ask_number)
        if self._text is not None:
            self._show_text(bytes(self._text.data))

    # -- the decision ---------------------------------------------------------------------------------------------------------

    async def _decide(self, offered: Offered) -> Sink:
        offer = offered.offer
        if offer.kind is OfferKind.TEXT:
            self._text = TextSink()
            return self._text
        if self._to_stdout and (offer.files != 1 or offer.directories):
            raise UsageError(f"--stdout takes one file, but {offer.files} are offered; receive into a folder instead")
        await self._accept(offered)
        if self._to_stdout:
            return StreamSink(sys.stdout.fileno())
        output = self._context.settings.receive.output
        check_space(output, offer.size)
        return FolderSink(output, await self._overwrite(offered, output))

    async def _accept(self, offered: Offered) -> None:
        if self._yes:
            return
        offer = offered.offer
        lines = offer.files + offer.directories
        # On a thread: a long list takes a while to read, and the other side must go on hearing from us.
        await detached(lambda: _show(_listed(offered) if lines <= LINES else _summary(offered)))
        size = "of unknown size" if offer.size is None else size_text(offer.size)
        more = "" if lines <= LINES else "/l to list all"
        question = f"Receive {offer.files} {'file' if offer.files == 1 else 'files'}, {size}? [y/N{more}] "
        while True:
            answer = await ask(question)
            if answer is None:
                raise UsageError("nobody answered on standard input, so nothing was accepted; add --yes to accept without asking")
            if answer.lower() in ("y", "yes"):
                return
            if answer.lower() in ("", "n", "no", "q"):
                raise RefusedError("the offer was declined; nothing was written")
            if more and answer.lower() == "l":
                await _page(_listed(offered))

    async def _overwrite(self, offered: Offered, output: str) -> Overwrite:
        wanted = self._context.settings.receive.overwrite
        if wanted != "ask":
            return Overwrite(wanted)
        if self._yes or not interactive():
            return Overwrite.RENAME
        taken = _taken(offered, output)
        if not taken:
            return Overwrite.RENAME
        names = ", ".join(printable(name) for name in taken[:5]) + (", ..." if len(taken) > 5 else "")
        answers = {"": Overwrite.RENAME, "r": Overwrite.RENAME, "o": Overwrite.ALWAYS, "k": Overwrite.NEVER}
        while True:
            answer = await ask(f"Here already: {names}. [R]ename what comes, [o]verwrite, [k]eep what is here, or [q]uit? ")
            if answer is None or answer.lower() in ("q", "n"):
                raise RefusedError("the offer was declined; nothing was written")
            if answer.lower() in answers:
                return answers[answer.lower()]

    # -- text -----------------------------------------------------------------------------------------------------------------

    def _show_text(self, data: bytes) -> None:
        if self._to_stdout and not os.isatty(sys.stdout.fileno()):
            sys.stdout.flush()
            view = memoryview(data)
            while view:
                view = view[os.write(sys.stdout.fileno(), view) :]
            return
        text = printable(data.decode(errors="replace"), lines=True)
        if self._json:
            self._context.event("text", text=text)
        else:
            put(text)


def _check_output(output: str) -> None:
    """Say what is wrong with the output folder before the code is used up."""
    if os.path.exists(output) and not os.path.isdir(output):
        raise FileSystemError(f"{printable(output)} is not a folder; name another with --output")
    if os.path.isdir(output) and not os.access(output, os.W_OK | os.X_OK):
        raise FileSystemError(f"nothing can be written in {printable(output)}; name another folder with --output")


def _taken(offered: Offered, output: str) -> list[str]:
    """The top-level names that exist in `output`: a hint for the question, whatever is true then is decided when files land."""
    return [name for name in itertools.islice(top_level(offered), 10_000) if os.path.lexists(os.path.join(output, name))]


def _listed(offered: Offered) -> Iterator[str]:
    for entry in offered.entries():
        path = printable("/".join(entry.components))
        if entry.kind is EntryKind.DIRECTORY:
            yield f"  {path}/"
        else:
            yield f"  {path}  {'?' if entry.size is None else size_text(entry.size)}"


def _summary(offered: Offered) -> Iterator[str]:
    """One line for each top-level name; canonical order puts all that belongs to one together."""
    for name, group in itertools.groupby(offered.entries(), key=lambda entry: entry.components[0]):
        files = size = 0
        folder = False
        for entry in group:
            folder = folder or entry.kind is EntryKind.DIRECTORY
            files += entry.kind is EntryKind.FILE
            size += entry.size or 0
        yield f"  {printable(name)}{f'/  {files} files' if folder else ''}  {size_text(size)}"


def _show(lines: Iterator[str]) -> None:
    for line in itertools.islice(lines, LINES):
        tell(line)
    rest = sum(1 for _ in lines)
    if rest:
        tell(f"  ... and {rest} more")


async def _page(lines: Iterator[str]) -> None:
    while batch := list(itertools.islice(lines, LINES)):
        tell("\n".join(batch))
        if len(batch) == LINES and await ask("-- Enter for more, q to stop listing -- "):
            return
