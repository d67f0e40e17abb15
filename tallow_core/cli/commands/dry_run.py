"""`tallow send --dry-run`: what would be sent, and what would not."""

from __future__ import annotations

from collections.abc import Sequence

from tallow_core.errors import FileSystemError
from tallow_core.events import EntryListed, LeftOut, OfferMade
from tallow_core.files.skipped import HARMLESS, Skipped
from tallow_core.files.source.source_tree import SourceTree
from tallow_core.files.source.tree_filter import TreeOptions
from tallow_core.protocol.transfer.manifest_entry import Entry
from tallow_core.protocol.transfer.offer_pages import Counts
from tallow_core.session.context import Context
from tallow_core.text import printable


def dry_run(context: Context, paths: Sequence[str], options: TreeOptions) -> None:
    """List it. Nothing is connected to, and no file is read.

    Raises `FileSystemError` at the end if something could not be sent that should be.
    """
    counts = Counts()
    unread: list[Skipped] = []
    listed = 0
    with SourceTree(paths, options) as sources:
        for source in sources.walk():
            _report_entry(context, source.entry)
            counts.add(source.entry)
            unread += _report_skipped(context, sources.skipped[listed:])
            listed = len(sources.skipped)
        unread += _report_skipped(context, sources.skipped[listed:])
    context.report(OfferMade(counts.files, counts.links, counts.size))
    if unread:
        more = ", ..." if len(unread) > 1 else ""
        raise FileSystemError(
            f"the rest would be sent, but {len(unread)} could not be:"
            f" {printable(unread[0].path)}{more}"
        )


def _report_entry(context: Context, entry: Entry) -> None:
    kind = entry.kind.name.lower().replace("_", "-")
    target = printable(entry.target) if entry.target else None
    path = printable("/".join(entry.components))
    context.report(EntryListed(path, kind, entry.size or 0, target))


def _report_skipped(context: Context, skipped: Sequence[Skipped]) -> list[Skipped]:
    """Say what is left out; returns what would end `send` with an error."""
    for each in skipped:
        context.report(LeftOut(printable(each.path), each.reason))
    return [each for each in skipped if each.reason not in HARMLESS]
