"""A server with one registered user, and changed messages, for the checks of logins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from tallow_core.errors import CryptoError
from tallow_core.spi.authenticator import LoggedIn, LoginAuthenticator, Registered
from tallow_core.testing.expect import ConformanceError
from tallow_core.types import ReadBuffer

PASSWORD = b"correct horse battery staple \xc3\xa9"
USER = "ann"
UNKNOWN_USER = "bob"


Change: TypeAlias = Callable[[str, bytes], bytes]
"""Changes a message between the ends: takes its name and bytes, returns the bytes that arrive."""


def unchanged(_name: str, message: bytes) -> bytes:
    """Leave a message as it is."""
    return message


@dataclass(frozen=True, slots=True)
class LoginPlace:
    """A server that knows one user."""

    driver: type[LoginAuthenticator]
    setup: bytes
    server: LoginAuthenticator
    record: bytes
    registered: Registered

    @classmethod
    def make(
        cls,
        driver: type[LoginAuthenticator],
        password: ReadBuffer = PASSWORD,
        change: Change = unchanged,
    ) -> LoginPlace:
        """Make a server and register its user, with `change` between the ends."""
        setup = bytes(driver.make_setup())
        server = driver(setup)
        client = driver.register(password)
        answering = server.answer_registration(USER, change("registration request", client.message))
        registered = client.finish(change("registration response", answering.message))
        return cls(
            driver, setup, server, answering.finish(change("upload", registered.upload)), registered
        )

    def log_in(
        self, password: ReadBuffer = PASSWORD, change: Change = unchanged
    ) -> tuple[LoggedIn, LoggedIn]:
        """The results of a whole login: (the client's, the server's)."""
        client = self.driver.log_in(password)
        answering = self.server.answer_login(USER, self.record, change("request", client.message))
        ours = client.finish(change("response", answering.message))
        return ours, answering.finish(change("finalization", ours.messages[2]))


def noted(travelled: list[bytes], _name: str, message: bytes) -> bytes:
    """Leave a message as it is, and add it to `travelled`."""
    travelled.append(message)
    return message


def flipped_byte(which: str, position: int, name: str, message: bytes) -> bytes:
    """Flip a bit at `position` of the message `which`."""
    changed = bytearray(message)
    if name == which:
        changed[position] ^= 1 << position % 8
    return bytes(changed)


def positions(size: int) -> list[int]:
    """Every 13th byte, so that each field is met at another place, and the last."""
    return sorted({*range(0, size, 13), size - 1})


def other_lengths(good: bytes) -> tuple[bytes, ...]:
    """`good` in lengths that are wrong."""
    return b"", good[:-1], good[1:], good + b"\0", good + good


def lengths(which: str) -> Iterator[Change]:
    """Changes that give the message `which` each wrong length."""
    return (partial(resized, which, index) for index in range(5))


def resized(which: str, index: int, name: str, message: bytes) -> bytes:
    """Give the message `which` the wrong length number `index`."""
    return other_lengths(message)[index] if name == which else message


def registered_and_logged_in(driver: type[LoginAuthenticator], change: Change) -> None:
    """Register and log in, with `change` between the ends."""
    LoginPlace.make(driver, change=change).log_in()


def failure(action: Callable[[], object]) -> tuple[type[Exception], str]:
    """The error of `action`: its type and text."""
    try:
        action()
    except CryptoError as error:
        return type(error), str(error)
    raise ConformanceError("the driver accepted a forged message")
