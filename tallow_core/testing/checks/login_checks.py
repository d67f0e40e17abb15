"""What every authenticator for logins must do: see
`tallow_core.spi.authenticator.LoginAuthenticator`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from tallow_core.errors import AuthenticationError, CryptoError
from tallow_core.secrets import system_rng
from tallow_core.spi.authenticator import LoggedIn, LoginAuthenticator, Registered
from tallow_core.testing.checks.driver_checks import descriptor_is_complete, positive
from tallow_core.testing.expect import ConformanceError, refuses, require
from tallow_core.types import ReadBuffer

PASSWORD = b"correct horse battery staple \xc3\xa9"
USER, NOBODY = "ann", "nobody"

Change: TypeAlias = Callable[[str, bytes], bytes]
"""What somebody between the ends does to a message: its name and bytes in, the bytes that arrive
out."""


def _unchanged(_name: str, message: bytes) -> bytes:
    return message


@dataclass(frozen=True, slots=True)
class _Place:
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
        change: Change = _unchanged,
    ) -> _Place:
        setup = bytes(driver.make_setup())
        server = driver(setup)
        client = driver.register(password)
        answering = server.answer_registration(USER, change("registration request", client.message))
        registered = client.finish(change("registration response", answering.message))
        return cls(
            driver, setup, server, answering.finish(change("upload", registered.upload)), registered
        )

    def log_in(
        self, password: ReadBuffer = PASSWORD, change: Change = _unchanged
    ) -> tuple[LoggedIn, LoggedIn]:
        """What client and server have after a whole login."""
        client = self.driver.log_in(password)
        answering = self.server.answer_login(USER, self.record, change("request", client.message))
        ours = client.finish(change("response", answering.message))
        return ours, answering.finish(change("finalization", ours.messages[2]))


def everything_has_its_size(driver: type[LoginAuthenticator]) -> None:
    """Sizes are positive, keys have at least 32 bytes, and everything has the size that is
    stated."""
    positive(driver, "setup_size", "record_size", "session_key_size", "export_key_size")
    require(
        min(driver.session_key_size, driver.export_key_size) >= 32,
        "a key below 32 bytes is no protection",
    )
    place, sizes = _Place.make(driver), {}
    registering = (driver.register(PASSWORD).message, _Place.make(driver).registered.upload)
    require(
        isinstance(driver.make_setup(), bytearray),
        "a set-up is not a bytearray, so it cannot be wiped",
    )
    ours, theirs = place.log_in()
    sizes["set-up"] = (len(place.setup), driver.setup_size)
    sizes["record"] = (len(place.record), driver.record_size)
    sizes["registration request"] = (len(registering[0]), driver.registration_sizes[0])
    sizes["upload"] = (len(registering[1]), driver.registration_sizes[2])
    answered = place.server.answer_registration(USER, registering[0])
    sizes["registration response"] = (len(answered.message), driver.registration_sizes[1])
    sizes |= {
        f"login message {i}": (len(ours.messages[i]), driver.login_sizes[i]) for i in range(3)
    }
    sizes["session key"] = (len(ours.session_key), driver.session_key_size)
    sizes["export key"] = (len(ours.export_key), driver.export_key_size)
    sizes["export key at the server"] = (len(theirs.export_key), 0)
    for what, (found, stated) in sizes.items():
        require(found == stated, f"a {what} has {found} bytes, not {stated}")


def both_ends_agree(driver: type[LoginAuthenticator]) -> None:
    """After a registration, logins give both ends one session key and the same three messages; the
    client gets its export key again. The password may be any buffer, and empty."""
    for wrap in (bytes, bytearray, memoryview):
        for password in (PASSWORD, b""):
            travelled: list[bytes] = []
            place = _Place.make(driver, wrap(password))
            ours, theirs = place.log_in(wrap(password), partial(_noted, travelled))
            require(ours.session_key == theirs.session_key, "the two ends do not agree")
            require(
                ours.messages == theirs.messages == tuple(travelled),
                "an end reports other messages than travelled",
            )
            require(
                ours.export_key == place.registered.export_key,
                "a login gives another export key than the registration",
            )
            for key in (
                ours.session_key,
                ours.export_key,
                theirs.session_key,
                place.registered.export_key,
            ):
                require(
                    isinstance(key, bytearray), "a key is not a bytearray, so it cannot be wiped"
                )


def nothing_repeats(driver: type[LoginAuthenticator]) -> None:
    """Two logins have no message and no session key in common; two registrations of one password no
    record, two set-ups nothing."""
    place, other = _Place.make(driver), _Place.make(driver)
    first, second = place.log_in()[0], place.log_in()[0]
    require(first.session_key != second.session_key, "two logins have the same session key")
    require(
        all(a != b for a, b in zip(first.messages, second.messages, strict=True)),
        "two logins have a message in common",
    )
    require(
        place.setup != other.setup and place.record != other.record,
        "two servers have the same set-up or record",
    )
    require(
        place.registered.export_key != other.registered.export_key,
        "two servers give the same export key",
    )


def a_wrong_password_fails(driver: type[LoginAuthenticator]) -> None:
    """Any other password is an `AuthenticationError` at the client."""
    place = _Place.make(driver)
    for wrong in (b"", PASSWORD + b" ", PASSWORD.upper(), PASSWORD[:-2]):
        refuses(AuthenticationError, partial(place.log_in, wrong), "a wrong password")


def unknown_users_look_known(driver: type[LoginAuthenticator]) -> None:
    """A user that does not exist is answered like a wrong password: the same sizes, and the same
    errors with the same texts at both ends, for a bad request and a bad finalization too."""
    place = _Place.make(driver)
    outcomes = []
    for user, record in ((USER, place.record), (NOBODY, None)):
        client = driver.log_in(PASSWORD + b"!")
        answering = place.server.answer_login(user, record, client.message)
        forged = [system_rng(driver.login_sizes[2]), b""]
        answers = [
            place.server.answer_login(user, record, driver.log_in(PASSWORD).message) for _ in forged
        ]
        failures = [_failure(partial(client.finish, answering.message))]
        failures += [
            _failure(partial(each.finish, bad)) for each, bad in zip(answers, forged, strict=True)
        ]
        failures += [
            _failure(partial(place.server.answer_login, user, record, bad))
            for bad in (b"", bytes(driver.login_sizes[0]))
        ]
        require(
            failures[0][0] is AuthenticationError,
            f"a wrong password is {failures[0][0].__name__}, not AuthenticationError",
        )
        outcomes.append((len(answering.message), failures))
    known, unknown = outcomes
    require(known == unknown, f"an unknown user is told by {unknown}, a known one by {known}")
    again = [place.server.answer_login(NOBODY, None, client.message).message for _ in range(2)]
    require(again[0] != again[1], "an unknown user is answered with the same bytes again")


def unknown_users_cost_the_same(driver: type[LoginAuthenticator]) -> None:
    """Answering for a user that does not exist takes about as long as for one that does (within a
    factor of two, best of many)."""
    place, request = _Place.make(driver), driver.log_in(PASSWORD).message
    known, unknown = [], []
    for _ in range(200):
        known.append(_seconds(partial(place.server.answer_login, USER, place.record, request)))
        unknown.append(_seconds(partial(place.server.answer_login, NOBODY, None, request)))
    ratio = min(unknown) / min(known)
    require(
        0.5 < ratio < 2, f"an unknown user is answered in {ratio:.2f} times the time of a known one"
    )


def records_belong_to_user_and_server(driver: type[LoginAuthenticator]) -> None:
    """The record of one user is of no use for another, nor at a server with another set-up: an
    `AuthenticationError` at the client."""
    place = _Place.make(driver)
    for user, server in (("bob", place.server), (USER, driver(driver.make_setup()))):
        client = driver.log_in(PASSWORD)
        answering = server.answer_login(user, place.record, client.message)
        refuses(
            AuthenticationError,
            partial(client.finish, answering.message),
            f"the record of {USER} as that of {user}",
        )


def a_setup_is_kept(driver: type[LoginAuthenticator]) -> None:
    """A server built again from the bytes of its set-up, in any buffer, knows its users; a set-up
    of another length is a `CryptoError`."""
    place = _Place.make(driver)
    for wrap in (bytes, bytearray, memoryview):
        again = driver(wrap(place.setup))
        client = driver.log_in(PASSWORD)
        answering = again.answer_login(USER, wrap(place.record), wrap(client.message))
        ours = client.finish(wrap(answering.message))
        require(
            answering.finish(wrap(ours.messages[2])).session_key == ours.session_key,
            "a restored server does not agree",
        )
    for bad in _other_lengths(place.setup):
        refuses(CryptoError, partial(driver, bad), f"a set-up of {len(bad)} bytes")


def changed_registrations_are_of_no_use(driver: type[LoginAuthenticator]) -> None:
    """With one byte of any message of the registration changed, registering or the login after it
    is a `CryptoError`."""
    for name, size in zip(
        ("registration request", "registration response", "upload"),
        driver.registration_sizes,
        strict=True,
    ):
        for position in _positions(size):
            change = partial(_flipped, name, position)
            refuses(
                CryptoError,
                partial(_registered_and_logged_in, driver, change),
                f"byte {position} of the {name} changed",
            )


def changed_logins_fail(driver: type[LoginAuthenticator]) -> None:
    """With one byte of any message of the login changed, one end raises a `CryptoError`."""
    place = _Place.make(driver)
    for name, size in zip(("request", "response", "finalization"), driver.login_sizes, strict=True):
        for position in _positions(size):
            change = partial(_flipped, name, position)
            refuses(
                CryptoError,
                partial(place.log_in, change=change),
                f"byte {position} of the {name} changed",
            )


def other_lengths_are_refused(driver: type[LoginAuthenticator]) -> None:
    """A message or a record that is empty, a byte short, a byte long or twice as long is a
    `CryptoError`."""
    place = _Place.make(driver)
    for name in ("registration request", "registration response", "upload"):
        for change in _lengths(name):
            refuses(
                CryptoError,
                partial(_Place.make, driver, change=change),
                f"a {name} of another length",
            )
    for name in ("request", "response", "finalization"):
        for change in _lengths(name):
            refuses(
                CryptoError, partial(place.log_in, change=change), f"a {name} of another length"
            )
    request = driver.log_in(PASSWORD).message
    for bad in _other_lengths(place.record):
        refuses(
            CryptoError,
            partial(place.server.answer_login, USER, bad, request),
            f"a record of {len(bad)} bytes",
        )


def runs_are_used_once(driver: type[LoginAuthenticator]) -> None:
    """`finish` a second time is a `CryptoError`, after success and after failure; so is the first
    after `wipe`."""
    place = _Place.make(driver)
    for begin in (_registering_client, _registering_server, _login_client, _login_server):
        succeeds, fails, wiped = begin(place), begin(place), begin(place)
        succeeds[0].finish(succeeds[1])
        refuses(CryptoError, partial(fails[0].finish, b""), "an empty message")
        wiped[0].wipe()
        for run, message in (succeeds, fails, wiped):
            refuses(
                CryptoError,
                partial(run.finish, message),
                f"a finished or wiped run of {begin.__name__.strip('_')}",
            )


def messages_of_another_run_are_refused(driver: type[LoginAuthenticator]) -> None:
    """Messages belong to their run and their step: those of another login, and one's own sent back,
    are a `CryptoError`."""
    place = _Place.make(driver)
    one, other = driver.log_in(PASSWORD), driver.log_in(PASSWORD)
    answers = [place.server.answer_login(USER, place.record, each.message) for each in (one, other)]
    refuses(CryptoError, partial(one.finish, answers[1].message), "the response to another request")
    finished = other.finish(answers[1].message)
    refuses(
        CryptoError,
        partial(answers[0].finish, finished.messages[2]),
        "the finalization of another login",
    )
    for message in finished.messages[:2]:
        fresh, answering = (
            driver.log_in(PASSWORD),
            place.server.answer_login(USER, place.record, driver.log_in(PASSWORD).message),
        )
        refuses(CryptoError, partial(fresh.finish, message), "a message of another step or login")
        refuses(CryptoError, partial(answering.finish, message), "a message of another step")


def passwords_are_text(driver: type[LoginAuthenticator]) -> None:
    """A password that is no UTF-8 is a `CryptoError`, at a registration and at a login."""
    for begin in (driver.register, driver.log_in):
        refuses(CryptoError, partial(begin, b"\xff\xfe"), "a password that is no text")


def a_wiped_server_is_of_no_use(driver: type[LoginAuthenticator]) -> None:
    """After `wipe` a server answers nothing: a `CryptoError`. The keys of a login can be wiped."""
    place = _Place.make(driver)
    registering, request = driver.register(PASSWORD).message, driver.log_in(PASSWORD).message
    ours, _ = place.log_in()
    ours.wipe()
    require(
        not any(ours.session_key) and not any(ours.export_key), "a wiped key is not overwritten"
    )
    place.server.wipe()
    refuses(
        CryptoError, partial(place.server.answer_registration, USER, registering), "a wiped server"
    )
    for record in (place.record, None):
        refuses(
            CryptoError, partial(place.server.answer_login, USER, record, request), "a wiped server"
        )


def _noted(travelled: list[bytes], _name: str, message: bytes) -> bytes:
    travelled.append(message)
    return message


def _flipped(which: str, position: int, name: str, message: bytes) -> bytes:
    changed = bytearray(message)
    if name == which:
        changed[position] ^= 1 << position % 8
    return bytes(changed)


def _positions(size: int) -> list[int]:
    """Every 13th byte, so that each field is met at another place, and the last."""
    return sorted({*range(0, size, 13), size - 1})


def _other_lengths(good: bytes) -> tuple[bytes, ...]:
    return b"", good[:-1], good[1:], good + b"\0", good + good


def _lengths(which: str) -> Iterator[Change]:
    return (partial(_resized, which, index) for index in range(5))


def _resized(which: str, index: int, name: str, message: bytes) -> bytes:
    return _other_lengths(message)[index] if name == which else message


def _registered_and_logged_in(driver: type[LoginAuthenticator], change: Change) -> None:
    _Place.make(driver, change=change).log_in()


def _failure(action: Callable[[], object]) -> tuple[type[Exception], str]:
    try:
        action()
    except CryptoError as error:
        return type(error), str(error)
    raise ConformanceError("the driver accepted a forged message")


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _registering_client(place: _Place) -> tuple[Any, bytes]:
    client = place.driver.register(PASSWORD)
    return client, place.server.answer_registration(USER, client.message).message


def _registering_server(place: _Place) -> tuple[Any, bytes]:
    client = place.driver.register(PASSWORD)
    answering = place.server.answer_registration(USER, client.message)
    return answering, client.finish(answering.message).upload


def _login_client(place: _Place) -> tuple[Any, bytes]:
    client = place.driver.log_in(PASSWORD)
    return client, place.server.answer_login(USER, place.record, client.message).message


def _login_server(place: _Place) -> tuple[Any, bytes]:
    client = place.driver.log_in(PASSWORD)
    answering = place.server.answer_login(USER, place.record, client.message)
    return answering, client.finish(answering.message).messages[2]


Check: TypeAlias = Callable[[type[LoginAuthenticator]], None]

CHECKS: tuple[Check, ...] = (
    descriptor_is_complete,
    everything_has_its_size,
    both_ends_agree,
    nothing_repeats,
    a_wrong_password_fails,
    unknown_users_look_known,
    unknown_users_cost_the_same,
    records_belong_to_user_and_server,
    a_setup_is_kept,
    changed_registrations_are_of_no_use,
    changed_logins_fail,
    other_lengths_are_refused,
    runs_are_used_once,
    messages_of_another_run_are_refused,
    passwords_are_text,
    a_wiped_server_is_of_no_use,
)
