"""OPAQUE, a login by password of which the server never sees the password: OPAQUE-3DH of RFC 9807,
ristretto255 with SHA-512.

The library is opaque-ke through opaque-snake. Its key stretching is Argon2id with 19 MiB, 2
iterations and 1 lane, at the client; it takes no context and no identities, so the caller binds
the three messages of a login to its connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from tallow_core.errors import AuthenticationError, CryptoError, PluginError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.secrets import system_rng, wipe
from tallow_core.spi.authenticator import (
    Authenticator,
    ClientLogin,
    ClientRegistration,
    LoggedIn,
    LoginAuthenticator,
    LoginRun,
    Registered,
    ServerLogin,
    ServerRegistration,
)
from tallow_core.types import ReadBuffer

_LIBRARY_SETUP = 128
"""The length of the library's own set-up, in bytes. The dummy record stands behind it."""

_MAX_PASSWORD_BYTES = 0xFFFF
"""The OPRF hashes a length of two bytes (RFC 9497 section 3.3.1)."""

_MISSING = (
    "OPAQUE needs the library opaque-snake, which is not installed: run `pip install"
    ' "tallow[opaque]"`'
)
_UNUSABLE = "OPAQUE cannot use this password, which is too long or no text; take another one"
_SETUP = (
    "this is no server set-up of OPAQUE; restore it from a backup, or make a new one and register"
    " all users again"
)
_RECORD = (
    "the stored password record of this user is damaged; restore it, or register the user again"
)
_MALFORMED = (
    "the other side sent an OPAQUE message that no honest program sends; end the connection and"
    " begin again"
)
_FAILED = (
    "the login failed: the user or the password is wrong, or the server is another one; check"
    " them and try again"
)
_NOT_PROVED = "the client did not prove that it knows the password of this user; it may try again"


@contextmanager
def _library(refusal: CryptoError) -> Iterator[Any]:
    """opaque_snake, imported at its first use. Raises `refusal` for its own errors and for a
    `ValueError` (a wrong size, or bytes that are no text)."""
    try:
        import opaque_snake
    except ImportError as error:
        raise PluginError(_MISSING) from error
    try:
        yield opaque_snake
    except (opaque_snake.OpaqueError, ValueError) as error:
        raise refusal from error


def _sized(data: ReadBuffer, size: int) -> bytes:
    # The library ignores what follows some of its encodings.
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes instead of {size}")
    return bytes(data)


def _text(password: ReadBuffer) -> str:
    if len(password) > _MAX_PASSWORD_BYTES:
        raise ValueError(f"a password of {len(password)} bytes")
    return bytes(password).decode()


class _Run(LoginRun):
    """The state of one end between its two messages, for one use."""

    def __init__(self, message: bytes, state: object, password: bytearray | None = None) -> None:
        self._message = message
        self._state: object | None = state
        self._password = password

    @property
    def message(self) -> bytes:
        return self._message

    def wipe(self) -> None:
        self._state = None
        wipe(self._password)

    def _spend(self) -> Any:
        state, self._state = self._state, None
        if state is None:
            raise CryptoError("this run of OPAQUE is over; begin a fresh one")
        return state

    def _password_again(self) -> str:
        """The password as text, which the library wants a second time; our own copy is
        overwritten."""
        assert self._password is not None
        text = self._password.decode()
        wipe(self._password)
        return text


class _ClientRegistration(_Run, ClientRegistration):
    def finish(self, response: ReadBuffer) -> Registered:
        state, password = self._spend(), self._password_again()
        with _library(CryptoError(_MALFORMED)) as library:
            answer = library.RegistrationResponse.from_bytes(
                _sized(response, Opaque.registration_sizes[1])
            )
            result = library.OpaqueClient().finish_registration(answer, state, password)
        return Registered(result.upload.to_bytes(), bytearray(result.export_key))


class _ServerRegistration(_Run, ServerRegistration):
    def finish(self, upload: ReadBuffer) -> bytes:
        server = self._spend()
        with _library(CryptoError(_MALFORMED)) as library:
            uploaded = library.RegistrationUpload.from_bytes(
                _sized(upload, Opaque.registration_sizes[2])
            )
            record: bytes = server.finish_registration(uploaded).to_bytes()
        return record


class _ClientLogin(_Run, ClientLogin):
    def finish(self, response: ReadBuffer) -> LoggedIn:
        state, password = self._spend(), self._password_again()
        with _library(AuthenticationError(_FAILED)) as library:
            received = _sized(response, Opaque.login_sizes[1])
            result = library.OpaqueClient().finish_login(
                library.CredentialResponse.from_bytes(received), state, password
            )
        keys, messages = (
            result.session_keys,
            (self._message, received, result.finalization.to_bytes()),
        )
        return LoggedIn(bytearray(keys.session_key), bytearray(keys.export_key), messages)


class _ServerLogin(_Run, ServerLogin):
    def __init__(self, request: bytes, response: bytes, state: object) -> None:
        super().__init__(response, state)
        self._request = request

    def finish(self, finalization: ReadBuffer) -> LoggedIn:
        server, state = self._spend()
        with _library(AuthenticationError(_NOT_PROVED)) as library:
            received = _sized(finalization, Opaque.login_sizes[2])
            keys = server.finish_login(library.CredentialFinalization.from_bytes(received), state)
        return LoggedIn(
            bytearray(keys.session_key), bytearray(), (self._request, self._message, received)
        )


class Opaque(LoginAuthenticator):
    """OPAQUE. Its set-up is the library's (OPRF seed, private key, a private key for dummies) and
    one dummy record.

    The dummy is the record of a random password: the library answers no login without a record.
    Copies of passwords and keys that the library and its Python strings hold cannot be overwritten.
    """

    name: ClassVar[str] = "opaque"
    setup_size: ClassVar[int] = _LIBRARY_SETUP + 192
    record_size: ClassVar[int] = 192
    registration_sizes: ClassVar[tuple[int, int, int]] = (32, 64, 192)
    login_sizes: ClassVar[tuple[int, int, int]] = (96, 320, 64)
    session_key_size: ClassVar[int] = 64
    export_key_size: ClassVar[int] = 64

    @classmethod
    def make_setup(cls) -> bytearray:
        """See `LoginAuthenticator.make_setup`."""
        with _library(CryptoError(_SETUP)) as library:
            server = library.OpaqueServer()
        client = cls.register(system_rng(32).hex().encode())
        registering = _answer_registration(server, "", client.message)
        return bytearray(server.export_setup()) + registering.finish(
            client.finish(registering.message).upload
        )

    @classmethod
    def register(cls, password: ReadBuffer) -> ClientRegistration:
        """See `LoginAuthenticator.register`."""
        with _library(CryptoError(_UNUSABLE)) as library:
            request, state = library.OpaqueClient().start_registration(_text(password))
        return _ClientRegistration(request.to_bytes(), state, bytearray(password))

    @classmethod
    def log_in(cls, password: ReadBuffer) -> ClientLogin:
        """See `LoginAuthenticator.log_in`."""
        with _library(CryptoError(_UNUSABLE)) as library:
            request, state = library.OpaqueClient().start_login(_text(password))
        return _ClientLogin(request.to_bytes(), state, bytearray(password))

    def __init__(self, setup: ReadBuffer) -> None:
        with _library(CryptoError(_SETUP)) as library:
            kept = _sized(setup, self.setup_size)
            self._server: Any = library.OpaqueServer(kept[:_LIBRARY_SETUP])
            self._dummy = kept[_LIBRARY_SETUP:]
            library.PasswordFile.from_bytes(self._dummy)

    def answer_registration(self, user: str, request: ReadBuffer) -> ServerRegistration:
        """See `LoginAuthenticator.answer_registration`."""
        return _answer_registration(self._live(), user, request)

    def answer_login(
        self, user: str, record: ReadBuffer | None, request: ReadBuffer
    ) -> ServerLogin:
        """See `LoginAuthenticator.answer_login`."""
        server = self._live()
        with _library(CryptoError(_MALFORMED)) as library:
            received = _sized(request, self.login_sizes[0])
            asked = library.CredentialRequest.from_bytes(received)
        with _library(CryptoError(_RECORD)):
            stored = library.PasswordFile.from_bytes(
                _sized(self._dummy if record is None else record, self.record_size)
            )
        with _library(CryptoError(_MALFORMED)):
            response, state = server.create_credential_response(asked, user, stored)
        return _ServerLogin(received, response.to_bytes(), (server, state))

    def wipe(self) -> None:
        """See `LoginAuthenticator.wipe`."""
        self._server = None
        self._dummy = b""

    def _live(self) -> Any:
        if self._server is None:
            raise CryptoError("the set-up of this server was dropped; load it again")
        return self._server


def _answer_registration(server: Any, user: str, request: ReadBuffer) -> ServerRegistration:
    with _library(CryptoError(_MALFORMED)) as library:
        asked = library.RegistrationRequest.from_bytes(
            _sized(request, Opaque.registration_sizes[0])
        )
        response = server.create_registration_response(asked, user)
    return _ServerRegistration(response.to_bytes(), server)


@hookimpl
def tallow_offer_authenticator() -> Iterable[type[Authenticator]]:
    """Offer OPAQUE."""
    return [Opaque]
