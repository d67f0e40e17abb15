"""What every authenticator for logins must refuse: see
`tallow_core.spi.authenticator.LoginAuthenticator`."""

from __future__ import annotations

from functools import partial
from typing import Any

from tallow_core.errors import CryptoError
from tallow_core.spi.authenticator import LoginAuthenticator
from tallow_core.testing.checks.login_place import (
    PASSWORD,
    USER,
    LoginPlace,
    flipped_byte,
    lengths,
    other_lengths,
    positions,
    registered_and_logged_in,
)
from tallow_core.testing.expect import refuses, require


def changed_registrations_are_of_no_use(driver: type[LoginAuthenticator]) -> None:
    """With one byte of any message of the registration changed, registering or the login after it
    is a `CryptoError`."""
    for name, size in zip(
        ("registration request", "registration response", "upload"),
        driver.registration_sizes,
        strict=True,
    ):
        for position in positions(size):
            change = partial(flipped_byte, name, position)
            refuses(
                CryptoError,
                partial(registered_and_logged_in, driver, change),
                f"byte {position} of the {name} changed",
            )


def changed_logins_fail(driver: type[LoginAuthenticator]) -> None:
    """With one byte of any message of the login changed, one end raises a `CryptoError`."""
    place = LoginPlace.make(driver)
    for name, size in zip(("request", "response", "finalization"), driver.login_sizes, strict=True):
        for position in positions(size):
            change = partial(flipped_byte, name, position)
            refuses(
                CryptoError,
                partial(place.log_in, change=change),
                f"byte {position} of the {name} changed",
            )


def other_lengths_are_refused(driver: type[LoginAuthenticator]) -> None:
    """A message or a record that is empty, a byte short, a byte long or twice as long is a
    `CryptoError`."""
    place = LoginPlace.make(driver)
    for name in ("registration request", "registration response", "upload"):
        for change in lengths(name):
            refuses(
                CryptoError,
                partial(LoginPlace.make, driver, change=change),
                f"a {name} of another length",
            )
    for name in ("request", "response", "finalization"):
        for change in lengths(name):
            refuses(
                CryptoError, partial(place.log_in, change=change), f"a {name} of another length"
            )
    request = driver.log_in(PASSWORD).message
    for bad in other_lengths(place.record):
        refuses(
            CryptoError,
            partial(place.server.answer_login, USER, bad, request),
            f"a record of {len(bad)} bytes",
        )


def runs_are_used_once(driver: type[LoginAuthenticator]) -> None:
    """`finish` a second time is a `CryptoError`, after success and after failure; so is the first
    after `wipe`."""
    place = LoginPlace.make(driver)
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
    place = LoginPlace.make(driver)
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
    place = LoginPlace.make(driver)
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


def _registering_client(place: LoginPlace) -> tuple[Any, bytes]:
    client = place.driver.register(PASSWORD)
    return client, place.server.answer_registration(USER, client.message).message


def _registering_server(place: LoginPlace) -> tuple[Any, bytes]:
    client = place.driver.register(PASSWORD)
    answering = place.server.answer_registration(USER, client.message)
    return answering, client.finish(answering.message).upload


def _login_client(place: LoginPlace) -> tuple[Any, bytes]:
    client = place.driver.log_in(PASSWORD)
    return client, place.server.answer_login(USER, place.record, client.message).message


def _login_server(place: LoginPlace) -> tuple[Any, bytes]:
    client = place.driver.log_in(PASSWORD)
    answering = place.server.answer_login(USER, place.record, client.message)
    return answering, client.finish(answering.message).messages[2]
