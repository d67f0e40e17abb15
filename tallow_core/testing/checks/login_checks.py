"""The checks of every authenticator for logins: see
`tallow_core.spi.authenticator.LoginAuthenticator`. Those of refused inputs are in
`login_refusal_checks`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from tallow_core.errors import AuthenticationError, CryptoError
from tallow_core.secrets import system_rng
from tallow_core.spi.authenticator import LoginAuthenticator
from tallow_core.testing.checks.driver_checks import descriptor_is_complete, positive
from tallow_core.testing.checks.login_place import (
    PASSWORD,
    UNKNOWN_USER,
    USER,
    LoginPlace,
    failure,
    noted,
    other_lengths,
)
from tallow_core.testing.checks.login_refusal_checks import (
    a_wiped_server_is_of_no_use,
    changed_logins_fail,
    changed_registrations_are_of_no_use,
    messages_of_another_run_are_refused,
    other_lengths_are_refused,
    passwords_are_text,
    runs_are_used_once,
)
from tallow_core.testing.expect import refuses, require


def everything_has_its_size(driver: type[LoginAuthenticator]) -> None:
    """Sizes are positive, keys have at least 32 bytes, and everything has the size that is
    stated."""
    positive(driver, "setup_size", "record_size", "session_key_size", "export_key_size")
    require(
        min(driver.session_key_size, driver.export_key_size) >= 32,
        "a key below 32 bytes is no protection",
    )
    place, sizes = LoginPlace.make(driver), {}
    registering = (driver.register(PASSWORD).message, LoginPlace.make(driver).registered.upload)
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
            place = LoginPlace.make(driver, wrap(password))
            ours, theirs = place.log_in(wrap(password), partial(noted, travelled))
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
    place, other = LoginPlace.make(driver), LoginPlace.make(driver)
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
    place = LoginPlace.make(driver)
    for wrong in (b"", PASSWORD + b" ", PASSWORD.upper(), PASSWORD[:-2]):
        refuses(AuthenticationError, partial(place.log_in, wrong), "a wrong password")


def unknown_users_look_known(driver: type[LoginAuthenticator]) -> None:
    """A user that does not exist is answered like a wrong password: the same sizes, and the same
    errors with the same texts at both ends, for a bad request and a bad finalization too."""
    place = LoginPlace.make(driver)
    outcomes = []
    for user, record in ((USER, place.record), (UNKNOWN_USER, None)):
        client = driver.log_in(PASSWORD + b"!")
        answering = place.server.answer_login(user, record, client.message)
        forged = [system_rng(driver.login_sizes[2]), b""]
        answers = [
            place.server.answer_login(user, record, driver.log_in(PASSWORD).message) for _ in forged
        ]
        failures = [failure(partial(client.finish, answering.message))]
        failures += [
            failure(partial(each.finish, bad)) for each, bad in zip(answers, forged, strict=True)
        ]
        failures += [
            failure(partial(place.server.answer_login, user, record, bad))
            for bad in (b"", bytes(driver.login_sizes[0]))
        ]
        require(
            failures[0][0] is AuthenticationError,
            f"a wrong password is {failures[0][0].__name__}, not AuthenticationError",
        )
        outcomes.append((len(answering.message), failures))
    known, unknown = outcomes
    require(known == unknown, f"an unknown user is answered by {unknown}, a known one by {known}")
    again = [
        place.server.answer_login(UNKNOWN_USER, None, client.message).message for _ in range(2)
    ]
    require(again[0] != again[1], "an unknown user is answered with the same bytes again")


def unknown_users_cost_the_same(driver: type[LoginAuthenticator]) -> None:
    """Answering for a user that does not exist takes about as long as for one that does (within a
    factor of two, best of many)."""
    place, request = LoginPlace.make(driver), driver.log_in(PASSWORD).message
    known, unknown = [], []
    for _ in range(200):
        known.append(_seconds(partial(place.server.answer_login, USER, place.record, request)))
        unknown.append(_seconds(partial(place.server.answer_login, UNKNOWN_USER, None, request)))
    ratio = min(unknown) / min(known)
    require(
        0.5 < ratio < 2, f"an unknown user is answered in {ratio:.2f} times the time of a known one"
    )


def records_belong_to_user_and_server(driver: type[LoginAuthenticator]) -> None:
    """The record of one user is of no use for another, nor at a server with another set-up: an
    `AuthenticationError` at the client."""
    place = LoginPlace.make(driver)
    for user, server in (("eve", place.server), (USER, driver(driver.make_setup()))):
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
    place = LoginPlace.make(driver)
    for wrap in (bytes, bytearray, memoryview):
        again = driver(wrap(place.setup))
        client = driver.log_in(PASSWORD)
        answering = again.answer_login(USER, wrap(place.record), wrap(client.message))
        ours = client.finish(wrap(answering.message))
        require(
            answering.finish(wrap(ours.messages[2])).session_key == ours.session_key,
            "a restored server does not agree",
        )
    for bad in other_lengths(place.setup):
        refuses(CryptoError, partial(driver, bad), f"a set-up of {len(bad)} bytes")


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


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
