"""Which errors each method of a contract may raise.

An error of any other class, from a driver of another distribution, is that driver's fault, and is
reported with its name (`tallow_core.registry.guard`). A `PluginError` is never listed: the guard
makes one of it. `asyncio.CancelledError` passes where the caller cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping

from tallow_core.errors import (
    AuthenticationError,
    BadSignature,
    BrokenOffError,
    ConfigError,
    CryptoError,
    ForgedRecord,
    PolicyError,
    RemoteProtocolError,
    TallowError,
    TransportError,
    UnreachableError,
    UsageError,
)
from tallow_core.spi.rooms import RoomsFull, RoomTaken

Errors = tuple[type[TallowError], ...]

RAISES: Mapping[str, Errors] = {
    "Command.function": (TallowError,),
    # ciphers
    "Cipher.__init__": (CryptoError,),
    "Cipher.seal_into": (CryptoError,),
    "Cipher.open_into": (CryptoError, ForgedRecord),
    "Cipher.wipe": (),
    # key encapsulation
    "Kem.generate": (),
    "Kem.from_seed": (CryptoError,),
    "Kem.encapsulate": (CryptoError,),
    "Kem.decapsulate": (CryptoError,),
    # signatures
    "Signature.generate": (),
    "Signature.restore": (CryptoError,),
    "Signature.sign": (CryptoError,),
    "Signature.verify": (BadSignature,),
    # hashes
    "Hash.hasher": (),
    "Hasher.update": (),
    "Hasher.digest": (),
    # authenticators
    "CodeAuthenticator.__init__": (CryptoError,),
    "CodeAuthenticator.share": (),
    "CodeAuthenticator.finish": (AuthenticationError, CryptoError),
    "LoginRun.message": (),
    "LoginRun.wipe": (),
    "ClientRegistration.finish": (CryptoError,),
    "ServerRegistration.finish": (CryptoError,),
    "ClientLogin.finish": (AuthenticationError, CryptoError),
    "ServerLogin.finish": (AuthenticationError, CryptoError),
    "LoginAuthenticator.make_setup": (),
    "LoginAuthenticator.register": (CryptoError,),
    "LoginAuthenticator.log_in": (CryptoError,),
    "LoginAuthenticator.__init__": (CryptoError,),
    "LoginAuthenticator.answer_registration": (CryptoError,),
    "LoginAuthenticator.answer_login": (CryptoError,),
    "LoginAuthenticator.wipe": (),
    # compressors
    "Compressor.__init__": (),
    "Compressor.pack": (),
    "Compressor.unpack_into": (RemoteProtocolError,),
    # transports
    "Transport.__init__": (ConfigError,),
    "Transport.parse": (UsageError,),
    "Transport.local": (ConfigError,),
    "Transport.dial": (AuthenticationError, BrokenOffError, ConfigError, UnreachableError),
    "Transport.listen": (ConfigError, UnreachableError),
    "Listener.accept": (BrokenOffError,),
    "Listener.aclose": (),
    "ByteStream.receive_into": (AuthenticationError, BrokenOffError),
    "ByteStream.send": (AuthenticationError, BrokenOffError),
    "ByteStream.send_eof": (AuthenticationError, BrokenOffError),
    "ByteStream.aclose": (),
    "ByteStream.detach": (),
    "Multiplexed.open_stream": (AuthenticationError, BrokenOffError),
    "Multiplexed.accept_stream": (AuthenticationError, BrokenOffError),
    # proxies and resolvers
    "Connector.connect": (BrokenOffError, ConfigError, UnreachableError),
    "Connector.resolve": (ConfigError, UnreachableError),
    "Proxy.__init__": (ConfigError,),
    "Proxy.connect": (ConfigError, UnreachableError),
    "OnionService.serve": (ConfigError, UnreachableError),
    "Resolver.__init__": (ConfigError,),
    "Resolver.resolve": (ConfigError, UnreachableError),
    # discovery
    "Discovery.__init__": (ConfigError,),
    "Discovery.announce": (ConfigError,),
    "Discovery.nameplates": (ConfigError,),
    "Discovery.browse": (ConfigError,),
    # ways through address translators; the core implements SignalChannel
    "Nat.__init__": (ConfigError,),
    "Nat.gather": (UnreachableError,),
    "Maps.map": (UnreachableError,),
    "Punches.punch": (PolicyError, TransportError),
    "SignalChannel.addresses": (),
    "SignalChannel.send": (PolicyError, TransportError),
    "SignalChannel.receive": (TransportError,),
    "SignalChannel.connect": (PolicyError, UnreachableError),
    # stores of rooms
    "Rooms.__init__": (ConfigError,),
    "Rooms.open": (RoomTaken, RoomsFull),
    "Rooms.owner": (),
    "Rooms.close": (),
}
"""`Contract.method` -> its errors, subclasses included; () if it raises none. An iterator or
context manager that a method hands out may raise what the method may."""


def errors_of(contracts: tuple[type, ...], method: str) -> Errors:
    """What the first of `contracts` that states the method allows."""
    for contract in contracts:
        if (found := RAISES.get(f"{contract.__name__}.{method}")) is not None:
            return found
    return ()
