"""A guest in our hands, at a real sender behind a real relay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.kit.hostile_peers import CODE, Home, Peer, dial, prove, relay_server, tallow


@asynccontextmanager
async def guest_by_relay(home: Home, *words: str) -> AsyncIterator[tuple[Any, Peer]]:
    """A real sender that waits at a real relay, and a guest in our hands that has proved the code
    there."""
    async with relay_server(Home(home.root.parent / "relay")) as (_, port):
        options = ("send", "file", "--json", "-vvv", "--relay", f"tcp://127.0.0.1:{port}", *words)
        async with tallow(home, *options, env={"TALLOW_CODE": CODE}) as program:
            await program.event("code")
            yield program, await prove(await dial(port))
