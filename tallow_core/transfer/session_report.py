"""The events that both ends report of a session: who the other end is, and what was done."""

from __future__ import annotations

from tallow_core.errors import RefusedError
from tallow_core.events import LeftOut, PeerProved, RenamedFile, SuiteAgreed, TransferDone
from tallow_core.files.skipped import Skipped
from tallow_core.session.context import Context
from tallow_core.session.session import Session
from tallow_core.text import printable


def announce_session(context: Context, session: Session) -> None:
    """The `peer`, `suite` and perhaps `safety` events, once a peer has proved itself; raises
    `RefusedError` if a plugin refuses it."""
    path = session.path
    context.report(PeerProved(path.kind))
    context.report(SuiteAgreed(**session.established.suite))
    context.reporter.note(f"connected by {path.address}")
    reason = context.plugins.veto("tallow_veto_peer", path=path.kind, address=path.address)
    if reason is not None:
        raise RefusedError(f"a plugin refuses this peer: {reason}")
    session.safety.show(context)


def report_done(
    context: Context,
    files: int,
    links: int,
    size: int,
    seconds: float,
    skipped: list[Skipped],
    renamed: tuple[RenamedFile, ...] | None = None,
) -> None:
    """The `done` event."""
    left_out = tuple(LeftOut(printable(entry.path), entry.reason) for entry in skipped)
    context.report(TransferDone(files, links, size, round(seconds, 6), left_out, renamed))
