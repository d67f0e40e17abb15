"""`tallow relay serve`."""

from __future__ import annotations

import contextlib

from tallow_core.cli.args.options import CommonOptions
from tallow_core.cli.entry import invocation
from tallow_core.cli.entry.event_loop import run_loop
from tallow_core.errors import PluginError, PolicyError
from tallow_core.events import RelayListening
from tallow_core.registry.kinds import ROOMS
from tallow_core.session.context import Context
from tallow_core.spi.rooms import Rooms

_COMMON = CommonOptions()
DEFAULT_BIND = "127.0.0.1:7171"


def serve(*, bind: str = DEFAULT_BIND, common: CommonOptions = _COMMON) -> int:
    """Run a relay until it is interrupted. Its URL, with the pin that clients compare, is the first
    line printed.

    Parameters
    ----------
    bind
        The address to listen at, HOST:PORT (port 0: a free one); with tcp:// in front for a relay
        without TLS, on loopback only.
    """
    context = invocation.context(common, {})
    try:
        run_loop(_serve(context, bind))
    except KeyboardInterrupt:
        context.reporter.note("the relay has shut down")
    return 0


def _raise_descriptor_limit() -> None:
    """Take as many descriptors as the system lets us: the usual soft limit is far below the
    connections that settings allow."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS refuses "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _store(context: Context) -> type[Rooms]:
    """The driver that `[relay_server] store` names, or the best one."""
    name, stores = context.settings.relay_server.store, context.policy.drivers(ROOMS)
    if name != "auto":
        origin = context.settings.origin("relay_server.store")
        context.policy.check_name(ROOMS, name, f"`[relay_server] store` ({origin})")
        for verdict in context.policy.judge(ROOMS):
            if verdict.name == name and verdict.driver is not None:
                return verdict.driver
            if verdict.name == name and verdict.remedy:
                raise PolicyError(
                    f"the store of rooms {name} is {verdict.reason}; {verdict.remedy}"
                )
        return context.plugins.load(ROOMS, name)  # raises: it is blocked or broken
    if not stores:
        raise PluginError(
            "no store of rooms is allowed; allow one with [plugins] in the config file"
        )
    return stores[0]


async def _serve(context: Context, bind: str) -> None:
    from tallow_core.paths.connection_streams import each_stream
    from tallow_core.relay.server import RelayServer
    from tallow_core.rendezvous.relay_client import relay_endpoint

    store = _store(context)
    endpoint = relay_endpoint(context, bind, "listen")
    transport = context.network.transport(endpoint.scheme)
    listener = each_stream(await transport.listen(endpoint, lasting=True), transport)
    context.report(RelayListening(str(listener.endpoint), store.name))
    if endpoint.host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        context.reporter.warn(
            "it listens at every address: in the URL, write this machine's name or address instead"
        )
    _raise_descriptor_limit()
    limits = context.settings.relay_server
    rooms = context.plugins.build(ROOMS, store, limits.rooms)
    server = RelayServer(rooms, limits, context.reporter.warn)
    await server.serve(listener)
