"""Sets up a host before it waits: rooms, listeners, a code, and announcements of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Literal

from tallow_core.errors import NextStep, PolicyError, UnreachableError
from tallow_core.events import CodeReady
from tallow_core.paths.connection_streams import each_stream
from tallow_core.protocol.handshake.code import Code, draw_nameplate, make_code, parse_code
from tallow_core.rendezvous.adverts import announce, nameplates
from tallow_core.rendezvous.host import Host
from tallow_core.rendezvous.profile_checks import check_code, check_hidden
from tallow_core.rendezvous.relay_client import HostRoom, open_rooms, relay_urls
from tallow_core.secrets import below
from tallow_core.session.context import Context
from tallow_core.types import Endpoint


@asynccontextmanager
async def open_host(context: Context, phrase: str | None) -> AsyncIterator[Host]:
    """Open rooms and listeners, make the code (or take `phrase`), announce it, and report the
    `code` event."""
    given = parse_code(phrase) if phrase is not None else None
    if given is not None:
        check_code(context, given)
    urls = relay_urls(context)
    check_hidden(
        context,
        urls,
        "listen" if context.settings.send.listen else None,
    )
    context.network.check()
    async with AsyncExitStack() as stack:
        rooms = await open_rooms(context, urls, given.nameplate if given else None)
        for room in rooms:
            stack.push_async_callback(room.aclose)
        host = Host(context, given or await _new_code(context, rooms))
        if given is None:
            host.forget_guesses()
        stack.push_async_callback(host.aclose)
        await _listen(context, host, stack, relayed=bool(rooms))
        relays = [room.endpoint for room in rooms]
        announced = await announce(
            context, host.code.nameplate, host.listening, stack, relays=relays
        )
        if not (rooms or announced or (host.listening and context.settings.send.listen)):
            raise PolicyError("nobody could reach this sender").then("name a way to be reached")
        for room in rooms:
            host.scope.spawn(host.attend(room))
        listening = tuple(endpoint.url for endpoint in host.listening)
        context.report(CodeReady(host.code.phrase, listening))
        context.reporter.note("Waiting ...", 0, _instruction(context, host, rooms))
        yield host


def _instruction(context: Context, host: Host, rooms: list[HostRoom]) -> NextStep:
    """The instruction for the person on the other side."""
    if rooms and context.settings.origin("relay.urls") == "flag":
        return NextStep("receive by the relay", {"relay": rooms[0].endpoint})
    if rooms:
        return NextStep("receive by the same relay", {})
    if context.settings.send.listen:
        return NextStep("receive at the address", {"address": host.listening[0].url})
    return NextStep("receive on this machine", {})


async def _new_code(context: Context, rooms: list[HostRoom]) -> Code:
    nameplate = rooms[0].nameplate if rooms else draw_nameplate(below, await nameplates(context))
    return make_code(
        nameplate, max(context.settings.send.words, context.policy.limits.words), below
    )


async def _listen(context: Context, host: Host, stack: AsyncExitStack, *, relayed: bool) -> None:
    """Listen where `--listen` says, else where discovery on this machine finds it. The latter is a
    warning if it fails while a relay remains."""
    texts = context.settings.send.listen
    if texts:
        for endpoint in _asked(context, texts):
            await _listen_at(context, host, stack, endpoint)
        return
    failure = None
    for endpoint in _implicit(context):
        try:
            return await _listen_at(context, host, stack, endpoint)
        except UnreachableError as error:
            failure = error
    if failure is not None and not relayed:
        raise failure
    if failure is not None:
        context.reporter.warn(f"not reachable on this machine itself: {failure}")


async def _listen_at(
    context: Context, host: Host, stack: AsyncExitStack, endpoint: Endpoint
) -> None:
    transport = context.network.transport(endpoint.scheme)
    listener = each_stream(await transport.listen(endpoint, lasting=False), transport)
    stack.push_async_callback(listener.aclose)
    host.listening.append(listener.endpoint)
    kind: Literal["local", "direct"] = "direct" if context.settings.send.listen else "local"
    host.scope.spawn(host.accept(listener, kind, transport.name))


def _asked(context: Context, texts: tuple[str, ...]) -> list[Endpoint]:
    """Each `--listen` through each transport that policy allows and that has ports; one fixed port
    serves one transport, the first.

    A `PolicyError` for a transport that does not listen, and for an address beside an endpoint that
    hides where this machine is.
    """
    network = context.network
    endpoints = []
    for text in texts:
        first = network.endpoint(text, "listen")
        endpoints.append(first)
        if first.port == 0 and "://" not in text:
            others = [transport.schemes[0] for transport in network.addressed("listen")]
            endpoints += [
                replace(first, scheme=scheme) for scheme in others if scheme != first.scheme
            ]
    transports = [network.transport(endpoint.scheme) for endpoint in endpoints]
    for transport in transports:
        if "listen" not in transport.roles:
            raise PolicyError(f"the transport {transport.name} does not listen").then(
                "choose another transport"
            )
    hiding = [transport for transport in transports if transport.hides_addresses]
    shown = [
        str(endpoint.url)
        for endpoint, transport in zip(endpoints, transports, strict=True)
        if not (transport.hides_addresses or transport.on_this_machine)
    ]
    if hiding and shown:
        raise PolicyError(
            f"{hiding[0].name} hides where this machine is, and {shown[0]} gives it away; leave one"
            " of them out"
        )
    return endpoints


def _implicit(context: Context) -> list[Endpoint]:
    """Without `--listen`: loopback and a free port, for discovery on this machine alone; the next
    one where the first cannot be opened."""
    if not any(driver.scope == "host" for driver in context.discoveries):
        return []
    return [transport.local() for transport in context.network.addressed("listen")]
