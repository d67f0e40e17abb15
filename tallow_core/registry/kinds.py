"""The table of extension points: one row a kind.

A kind is an entry-point group `tallow.<name>`, a hook `tallow_offer_<name>` and a contract (an
abstract class in `tallow_core.spi`). A new kind is one row here, one hook spec, one contract and
one file of checks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

if TYPE_CHECKING:
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

D = TypeVar("D")
_NOUNS = {"rooms": "store of rooms", "nat": "nat driver"}
"""The nouns of kinds whose name is no noun for one driver."""


class Kind(NamedTuple, Generic[D]):
    """One extension point. `contract_path` is `module:Class`, imported on first use; `plural` is
    its name in `[policy]`."""

    name: str
    contract_path: str
    plural: str

    @property
    def group(self) -> str:
        """The entry-point group."""
        return f"tallow.{self.name}"

    @property
    def hook(self) -> str:
        """The name of the hook with which a plugin hands over its drivers."""
        return f"tallow_offer_{self.name}"

    @property
    def noun(self) -> str:
        """The noun for one driver of this kind, in sentences."""
        return _NOUNS.get(self.name, self.name)

    @property
    def contract(self) -> type[D]:
        """The abstract class that drivers of this kind implement."""
        module, _, name = self.contract_path.partition(":")
        return cast("type[D]", getattr(import_module(module), name))


CIPHER: Kind[Cipher] = Kind("cipher", "tallow_core.spi.cipher:Cipher", "ciphers")
KEM: Kind[Kem] = Kind("kem", "tallow_core.spi.kem:Kem", "kems")
SIGNATURE: Kind[Signature] = Kind("signature", "tallow_core.spi.signature:Signature", "signatures")
HASH: Kind[Hash] = Kind("hash", "tallow_core.spi.hash:Hash", "hashes")
AUTHENTICATOR: Kind[Authenticator] = Kind(
    "authenticator", "tallow_core.spi.authenticator:Authenticator", "authenticators"
)
COMPRESSOR: Kind[Compressor] = Kind(
    "compressor", "tallow_core.spi.compressor:Compressor", "compressors"
)
TRANSPORT: Kind[Transport] = Kind("transport", "tallow_core.spi.transport:Transport", "transports")
DISCOVERY: Kind[Discovery] = Kind("discovery", "tallow_core.spi.discovery:Discovery", "discoveries")
PROXY: Kind[Proxy] = Kind("proxy", "tallow_core.spi.proxy:Proxy", "proxies")
RESOLVER: Kind[Resolver] = Kind("resolver", "tallow_core.spi.resolver:Resolver", "resolvers")
NAT: Kind[Nat] = Kind("nat", "tallow_core.spi.nat:Nat", "nats")
ROOMS: Kind[Rooms] = Kind("rooms", "tallow_core.spi.rooms:Rooms", "rooms")
COMMAND: Kind[Command] = Kind("command", "tallow_core.spi.command:Command", "commands")

KINDS: tuple[Kind[Any], ...] = (
    CIPHER,
    KEM,
    SIGNATURE,
    HASH,
    AUTHENTICATOR,
    COMPRESSOR,
    TRANSPORT,
    DISCOVERY,
    PROXY,
    RESOLVER,
    NAT,
    ROOMS,
    COMMAND,
)
PLUGIN: Kind[Any] = Kind("plugin", "tallow_core.spi.driver:Driver", "plugins")
"""The group `tallow.plugin`, for modules that have hooks only. It is no kind of driver."""
LISTED_KINDS: tuple[Kind[Any], ...] = (*KINDS, PLUGIN)
"""The kinds that the catalogue lists."""
SUITE_KINDS: tuple[Kind[Any], ...] = (KEM, CIPHER, HASH, AUTHENTICATOR, COMPRESSOR)
"""The kinds that two peers agree on, one driver each, in the order in which offers list them."""


def kind_named(name: str) -> Kind[Any] | None:
    """The kind of driver of that name, or None."""
    return next((kind for kind in KINDS if kind.name == name), None)


def listed_kind(name: str) -> Kind[Any] | None:
    """Find a kind by its name like `kind_named`, `plugin` included."""
    return next((kind for kind in LISTED_KINDS if kind.name == name), None)
