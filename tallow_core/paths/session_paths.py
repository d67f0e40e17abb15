"""The paths that a session's data may take, set up for one session."""

from __future__ import annotations

from tallow_core.paths.lane_pool import LanePool
from tallow_core.session.context import Context
from tallow_core.session.session import Session


def open_paths(context: Context, session: Session) -> LanePool:
    """The lane pool of `session`. Where its path leads through a relay, looking for a direct one
    beside it begins.

    Call it before the session is entered, or right after, before anything is awaited: it registers
    handlers.
    """
    pool = LanePool(context, session.scope, session.channel, session.lanes, session.path)
    if session.path.relayed:
        # Only sessions through a relay need it: start-up is measured.
        from tallow_core.paths.direct_path_finder import DirectPathFinder, direct_transport

        transport = direct_transport(
            context, session.established, session.path, compares=session.safety.wanted
        )
        finder = DirectPathFinder(
            context, session.scope, session.channel, session.lanes, pool, transport
        )
        session.scope.spawn(finder.run())
    return pool
