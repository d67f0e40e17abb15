"""The contracts of password-authenticated key exchanges (PAKE): for a code that two people share,
and for a login at a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tallow_core.secrets import wipe
from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer, Role


class Authenticator(Driver):
    """What both kinds of PAKE have in common: a driver derives from `CodeAuthenticator` or
    `LoginAuthenticator`.

    `situation` is where it can be used: `code`, where both ends hold the same short-lived secret,
    or `login`, where a server keeps a record of each user's password that does not contain it. A
    session offers the former only.
    """

    situation: ClassVar[Literal["code", "login"]]


class CodeAuthenticator(Authenticator):
    """One run of a balanced PAKE of one message each way; the guest's share travels first.

    `share_size` is in bytes. The key that `finish` returns is equal on both ends only if password,
    session id, channel and both associated data were; it is not confirmed yet: the session does
    that over its whole transcript.
    """

    situation: ClassVar[Literal["code"]] = "code"
    share_size: ClassVar[int]

    @abstractmethod
    def __init__(self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes) -> None:
        """Begin a run with fresh randomness. `channel` binds the run to its surroundings (CPace:
        CI)."""

    @property
    @abstractmethod
    def share(self) -> bytes:
        """What travels to the other end, `share_size` bytes."""

    @abstractmethod
    def finish(self, peer_share: ReadBuffer) -> bytearray:
        """Return the intermediate key. May be called once.

        A share of the wrong length, one that encodes a low-order point, or one equal to our own is
        an `AuthenticationError`.
        """


@dataclass(frozen=True, slots=True)
class Registered:
    """What a client has after registering: `upload` for the server, and `export_key`, which only
    this password gives again."""

    upload: bytes
    export_key: bytearray = field(repr=False)

    def wipe(self) -> None:
        """Overwrite the key."""
        wipe(self.export_key)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What an end has after a login.

    `session_key` is the same at both ends and fresh in every login. `export_key` is what
    `Registered` had; empty at the server, which never learns it. `messages` are request, response
    and finalization as they travelled, so that the caller can bind them to what it runs over; the
    client sends the last of them.
    """

    session_key: bytearray = field(repr=False)
    export_key: bytearray = field(repr=False)
    messages: tuple[bytes, bytes, bytes]

    def wipe(self) -> None:
        """Overwrite the keys."""
        wipe(self.session_key, self.export_key)


class LoginRun(ABC):
    """One end of one registration or login, begun by its first message. `finish` may be called
    once, successful or not; a second call, and one after `wipe`, is a `CryptoError`."""

    @property
    @abstractmethod
    def message(self) -> bytes:
        """What travels to the other end first: the client's request, the server's response."""

    @abstractmethod
    def wipe(self) -> None:
        """Drop the run's secrets."""


class ClientRegistration(LoginRun):
    """Client: `message` is the request."""

    @abstractmethod
    def finish(self, response: ReadBuffer) -> Registered:
        """Take the server's response. One that is malformed is a `CryptoError`."""


class ServerRegistration(LoginRun):
    """Server: `message` is the response."""

    @abstractmethod
    def finish(self, upload: ReadBuffer) -> bytes:
        """Take the client's upload and return the user's record, `record_size` bytes, to be stored
        under the user's name, private. An upload that is malformed is a `CryptoError`."""


class ClientLogin(LoginRun):
    """Client: `message` is the request."""

    @abstractmethod
    def finish(self, response: ReadBuffer) -> LoggedIn:
        """Take the server's response.

        Whatever is wrong, be it the password, the user, the server or a byte on the way, is one
        `AuthenticationError` with one text.
        """


class ServerLogin(LoginRun):
    """Server: `message` is the response."""

    @abstractmethod
    def finish(self, finalization: ReadBuffer) -> LoggedIn:
        """Take the client's last message. One that proves nothing is one `AuthenticationError` with
        one text, whether the user exists."""


class LoginAuthenticator(Authenticator):
    """An augmented PAKE: a client with a password, and a server with a set-up and one record a
    user. An instance is the server.

    All sizes are in bytes and fixed. A registration is request, response, upload; a login request,
    response, finalization; the client speaks first. A message of another size is refused as a
    malformed one. A registration must travel where the client already knows whom it talks to; a
    login needs nothing of the kind.

    Who asks for a user that does not exist gets what a wrong password gets, from a dummy record
    that is part of the set-up: messages of the same sizes, by the same path, ending in the same
    error. Passwords are UTF-8; any other bytes are a `CryptoError`.
    """

    situation: ClassVar[Literal["login"]] = "login"
    setup_size: ClassVar[int]
    record_size: ClassVar[int]
    registration_sizes: ClassVar[tuple[int, int, int]]
    login_sizes: ClassVar[tuple[int, int, int]]
    session_key_size: ClassVar[int]
    export_key_size: ClassVar[int]

    @classmethod
    @abstractmethod
    def make_setup(cls) -> bytearray:
        """Make the secret of a new server, `setup_size` bytes. It must be kept for as long as the
        records (in a file of mode 0600): without it no record is of use."""

    @classmethod
    @abstractmethod
    def register(cls, password: ReadBuffer) -> ClientRegistration:
        """Begin a registration at the client."""

    @classmethod
    @abstractmethod
    def log_in(cls, password: ReadBuffer) -> ClientLogin:
        """Begin a login at the client."""

    @abstractmethod
    def __init__(self, setup: ReadBuffer) -> None:
        """A server with the set-up that `make_setup` once gave; anything else is a
        `CryptoError`."""

    @abstractmethod
    def answer_registration(self, user: str, request: ReadBuffer) -> ServerRegistration:
        """Begin a registration of `user` at the server. A request that is malformed is a
        `CryptoError`."""

    @abstractmethod
    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        """Begin a login of `user` at the server; `record` is None if there is no such user.

        A request that is malformed is a `CryptoError`, whether the user exists; so is a record that
        is damaged.
        """

    @abstractmethod
    def wipe(self) -> None:
        """Drop the set-up; answering afterwards is a `CryptoError`."""
