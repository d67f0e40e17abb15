"""`tallow policy show` and `tallow policy explain`."""

from __future__ import annotations

from tallow_core.cli.args.options import CommonOptions
from tallow_core.cli.entry import invocation
from tallow_core.cli.views.policy_table import explain_policy, show_policy
from tallow_core.config.profiles import ProfileName
from tallow_core.errors import UsageError
from tallow_core.registry.kinds import TRANSPORT
from tallow_core.session.context import Context
from tallow_core.types import NetworkPath

_COMMON = CommonOptions()


def show_command(
    *,
    profile: ProfileName | None = None,
    over: str | None = None,
    relayed: bool = False,
    common: CommonOptions = _COMMON,
) -> int:
    """Show what policy admits, in the effective order, and where each value comes from.

    Parameters
    ----------
    profile
        As if the config file asked for this profile: default, nist, fast or paranoid.
    over
        As on a path of this transport: the first rule that matches it applies.
    relayed
        With --over: the path leads through a relay.
    """
    context = invocation.context(common, {"policy.profile": profile})
    return show_policy(context, _path(context, over, relayed), json=common.json)


def explain_command(
    *,
    offer: str | None = None,
    against: ProfileName | None = None,
    profile: ProfileName | None = None,
    over: str | None = None,
    relayed: bool = False,
    common: CommonOptions = _COMMON,
) -> int:
    """Say which suite would be chosen against a peer, and why every other driver was not; a peer
    like this side, if none is described.

    Parameters
    ----------
    offer
        A file with the peer's offer: what `tallow policy show --json` printed there, or its field
        `offer` alone.
    against
        A peer with default settings and this profile: default, nist, fast or paranoid.
    profile
        As if the config file here asked for this profile.
    over
        As on a path of this transport: the first rule that matches it applies.
    relayed
        With --over: the path leads through a relay.
    """
    if offer is not None and against is not None:
        raise UsageError("--offer and --against exclude each other; leave one out")
    context = invocation.context(common, {"policy.profile": profile})
    return explain_policy(context, _path(context, over, relayed), offer, against, json=common.json)


def _path(context: Context, over: str | None, relayed: bool) -> NetworkPath | None:
    if over is None:
        if relayed:
            raise UsageError(
                "--relayed needs --over: name the transport that leads to the relay, as in --over"
                " tls --relayed"
            )
        return None
    context.policy.check_name(TRANSPORT, over, "--over")
    return NetworkPath("relay" if relayed else "direct", "", over)
