"""Every hook, typed; the docstring of each is its published contract.

Hooks are synchronous and serve the control plane only: no payload byte ever passes one. A plugin
marks its implementations with `hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings
    from tallow_core.spi.authenticator import Authenticator
    from tallow_core.spi.cipher import Cipher
    from tallow_core.spi.command import Command
    from tallow_core.spi.compressor import Compressor
    from tallow_core.spi.discovery import Discovery
    from tallow_core.spi.hash import Hash
    from tallow_core.spi.kem import Kem
    from tallow_core.spi.nat import Nat
    from tallow_core.spi.proxy import Proxy
    from tallow_core.spi.resolver import Resolver
    from tallow_core.spi.rooms import Rooms
    from tallow_core.spi.signature import Signature
    from tallow_core.spi.transport import Transport

hookspec = pluggy.HookspecMarker("tallow")
hookimpl = pluggy.HookimplMarker("tallow")


@hookspec
def tallow_offer_cipher() -> Iterable[type[Cipher]]:  # type: ignore[empty-body]
    """Hand over the cipher drivers of this plugin."""


@hookspec
def tallow_offer_kem() -> Iterable[type[Kem]]:  # type: ignore[empty-body]
    """Hand over the KEM drivers of this plugin."""


@hookspec
def tallow_offer_signature() -> Iterable[type[Signature]]:  # type: ignore[empty-body]
    """Hand over the signature drivers of this plugin."""


@hookspec
def tallow_offer_hash() -> Iterable[type[Hash]]:  # type: ignore[empty-body]
    """Hand over the hash drivers of this plugin."""


@hookspec
def tallow_offer_authenticator() -> Iterable[type[Authenticator]]:  # type: ignore[empty-body]
    """Hand over the authenticator drivers of this plugin."""


@hookspec
def tallow_offer_compressor() -> Iterable[type[Compressor]]:  # type: ignore[empty-body]
    """Hand over the compressor drivers of this plugin."""


@hookspec
def tallow_offer_transport() -> Iterable[type[Transport]]:  # type: ignore[empty-body]
    """Hand over the transport drivers of this plugin."""


@hookspec
def tallow_offer_discovery() -> Iterable[type[Discovery]]:  # type: ignore[empty-body]
    """Hand over the discovery drivers of this plugin."""


@hookspec
def tallow_offer_proxy() -> Iterable[type[Proxy]]:  # type: ignore[empty-body]
    """Hand over the proxies of this plugin."""


@hookspec
def tallow_offer_resolver() -> Iterable[type[Resolver]]:  # type: ignore[empty-body]
    """Hand over the resolvers of this plugin."""


@hookspec
def tallow_offer_nat() -> Iterable[type[Nat]]:  # type: ignore[empty-body]
    """Hand over the nat drivers of this plugin."""


@hookspec
def tallow_offer_rooms() -> Iterable[type[Rooms]]:  # type: ignore[empty-body]
    """Hand over the room stores of this plugin."""


@hookspec
def tallow_offer_command() -> Iterable[type[Command]]:  # type: ignore[empty-body]
    """Hand over the sub-commands of this plugin."""


@hookspec
def tallow_configure(settings: DriverSettings) -> None:
    """Settings are frozen; called once for each plugin, before any driver of it is built."""


@hookspec
def tallow_veto_suite(suite: Mapping[str, str]) -> str | None:
    """Look at the suite two peers are about to use (kind -> driver name); return a reason to refuse
    it, or None.

    Any reason refuses: a plugin may narrow a security decision, never widen one. The handshake
    ends; the choice is never changed.
    """


@hookspec
def tallow_veto_peer(path: str, address: str) -> str | None:
    """Look at where a proven peer is (`path`: local, direct or relay; `address`: of the
    connection); return a reason to refuse, or None."""


@hookspec
def tallow_veto_offer(files: int, size: int | None) -> str | None:
    """Look at what a proven sender offers (`files`: how many; `size`: their bytes, None if
    unknown), before the person is asked.

    Return a reason to refuse, or None.
    """


@hookspec
def tallow_session_event(event: Mapping[str, Any]) -> None:
    """Observe the events of docs/reference/events.md as they are reported, `code` without the code.

    An error in an observer is logged, not raised.
    """
