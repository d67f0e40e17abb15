"""The contracts of password-authenticated key exchanges (PAKE): one for a code that two people
share, one for a login at a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal

from tallow_core.secrets import wipe
from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer, Role

MAX_SHARE_BYTES = 1024
"""Bytes of a share. It travels in one frame with the KEM's public key or ciphertext."""


class Authenticator(Driver):
    """The base of both contracts. A driver derives from `CodeAuthenticator` or
    `LoginAuthenticator`.

    `situation`: `code`, where both ends hold the same short-lived secret, or `login`, where a
    server keeps a record of each user's password that does not contain it. A session offers only
    drivers for `code`.
    """

    situation: ClassVar[Literal["code", "login"]]


class CodeAuthenticator(Authenticator):
    """One run of a balanced PAKE with one message each way. The guest's share travels first.

    `share_size` is in bytes, at most 1,024; a driver beyond that is refused when it is loaded. The
    key that `finish` returns is equal on both ends only if password, session id, channel and roles
    match. It is not confirmed; the session confirms it over its whole transcript.
    """

    size_bounds = MappingProxyType({"share_size": (1, MAX_SHARE_BYTES)})
    situation: ClassVar[Literal["code"]] = "code"
    share_size: ClassVar[int]

    @abstractmethod
    def __init__(self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes) -> None:
        """Begin a run with fresh randomness. `channel` binds the run to its context (CPace: CI).
        Raises nothing."""

    @property
    @abstractmethod
    def share(self) -> bytes:
        """The message to the other end, `share_size` bytes. Raises nothing."""

    @abstractmethod
    def finish(self, peer_share: ReadBuffer) -> bytearray:
        """Return the intermediate key, 32 bytes or more. May be called once.

        Raises `AuthenticationError` for a share of the wrong length, one that encodes a low-order
        point, and one equal to our own; `CryptoError` for a second call.
        """


@dataclass(frozen=True, slots=True)
class Registered:
    """The result of a registration at the client: `upload` for the server, and `export_key`, which
    only a login with the same password gives again."""

    upload: bytes
    export_key: bytearray = field(repr=False)

    def wipe(self) -> None:
        """Overwrite the key."""
        wipe(self.export_key)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The result of a login at one end.

    `session_key` is the same at both ends and fresh in every login. `export_key` is that of
    `Registered`; it is empty at the server, which does not learn it. `messages` are request,
    response and finalization as they travelled, so that the caller can bind them to its
    connection; the client sends the last of them.
    """

    session_key: bytearray = field(repr=False)
    export_key: bytearray = field(repr=False)
    messages: tuple[bytes, bytes, bytes]

    def wipe(self) -> None:
        """Overwrite the keys."""
        wipe(self.session_key, self.export_key)


class LoginRun(ABC):
    """One end of one registration or login, begun by its first message. `finish` may be called
    once, successful or not; a second call, or a call after `wipe`, is a `CryptoError`."""

    @property
    @abstractmethod
    def message(self) -> bytes:
        """The first message to the other end: the client's request, or the server's response.
        Raises nothing."""

    @abstractmethod
    def wipe(self) -> None:
        """Drop the run's secrets. Raises nothing, also when called twice."""


class ClientRegistration(LoginRun):
    """Client: `message` is the request."""

    @abstractmethod
    def finish(self, response: ReadBuffer) -> Registered:
        """Take the server's response. Raises `CryptoError` if it is malformed."""


class ServerRegistration(LoginRun):
    """Server: `message` is the response."""

    @abstractmethod
    def finish(self, upload: ReadBuffer) -> bytes:
        """Take the client's upload and return the user's record, `record_size` bytes. The caller
        stores it under the user's name and keeps it private. Raises `CryptoError` if the upload is
        malformed."""


class ClientLogin(LoginRun):
    """Client: `message` is the request."""

    @abstractmethod
    def finish(self, response: ReadBuffer) -> LoggedIn:
        """Take the server's response.

        Raises `AuthenticationError`, with one text for every cause: a wrong password, user or
        server, or a changed byte.
        """


class ServerLogin(LoginRun):
    """Server: `message` is the response."""

    @abstractmethod
    def finish(self, finalization: ReadBuffer) -> LoggedIn:
        """Take the client's last message. Raises `AuthenticationError` if it proves nothing, with
        one text, for existing and unknown users alike."""


class LoginAuthenticator(Authenticator):
    """An augmented PAKE: a client with a password, and a server with a set-up and one record for
    each user. An instance is the server.

    All sizes are in bytes and fixed. A registration is request, response, upload; a login is
    request, response, finalization. The client sends first. A message of another size is malformed.
    A registration must travel on a connection whose server the client has already authenticated; a
    login needs no such connection.

    A login of an unknown user looks like a login with a wrong password. The server answers from a
    dummy record of its set-up: messages of the same sizes, by the same code path, and the same
    error. Passwords are UTF-8; other bytes are a `CryptoError`.
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
        """Make the secret of a new server, `setup_size` bytes. The caller keeps it as long as the
        records, in a file of mode 0600, because no record can be used without it. Raises nothing.
        """

    @classmethod
    @abstractmethod
    def register(cls, password: ReadBuffer) -> ClientRegistration:
        """Begin a registration at the client. Raises `CryptoError` for a password that is not
        UTF-8."""

    @classmethod
    @abstractmethod
    def log_in(cls, password: ReadBuffer) -> ClientLogin:
        """Begin a login at the client. Raises `CryptoError` for a password that is not UTF-8."""

    @abstractmethod
    def __init__(self, setup: ReadBuffer) -> None:
        """A server with a set-up of `make_setup`. Raises `CryptoError` for anything else."""

    @abstractmethod
    def answer_registration(self, user: str, request: ReadBuffer) -> ServerRegistration:
        """Begin a registration of `user` at the server. Raises `CryptoError` if the request is
        malformed, and after `wipe`."""

    @abstractmethod
    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        """Begin a login of `user` at the server; `record` is None for an unknown user.

        Raises `CryptoError` if the request is malformed, for existing and unknown users alike, if
        the record is damaged, and after `wipe`.
        """

    @abstractmethod
    def wipe(self) -> None:
        """Drop the set-up. Answering after that is a `CryptoError`. Raises nothing, also when
        called twice."""
