"""OPAQUE: the kit, and an independent implementation, proved by the vectors of RFC 9807, as either
end of the driver.

The vectors cannot run through the driver: its library takes neither randomness nor a context.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from argon2.low_level import Type, hash_secret_raw

from tallow_core.errors import AuthenticationError, CryptoError, PluginError
from tallow_core.secrets import system_rng
from tallow_core.testing.checks import login_checks as checks
from tallow_plugins.authenticators import opaque
from tallow_plugins.authenticators.opaque import Opaque
from tests.kit.opaque_reference import Client, Server

VECTORS = json.loads(Path(__file__).with_name("vectors_opaque.json").read_text("utf-8"))
REAL, FAKE = (
    MappingProxyType({name: bytes.fromhex(value) for name, value in VECTORS[which].items()})
    for which in ("real", "fake")
)
CONTEXT = bytes.fromhex(VECTORS["context"])
PASSWORD, USER = "correct horse é".encode(), "ann"


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: checks.Check) -> None:
    check(Opaque)


def test_the_module_offers_its_driver() -> None:
    assert list(opaque.tallow_offer_authenticator()) == [Opaque]


def test_the_independent_implementation_reproduces_the_published_registration() -> None:
    client, server = (
        Client(REAL["password"], lambda output: output, CONTEXT),
        Server(REAL["oprf_seed"], REAL["server_private_key"], CONTEXT),
    )
    assert server.public == REAL["server_public_key"]
    request = client.blinded(REAL["blind_registration"])
    assert request == REAL["registration_request"]
    response = server.registration_response(REAL["credential_identifier"], request)
    assert response == REAL["registration_response"]
    assert client.upload(REAL["blind_registration"], response, REAL["envelope_nonce"]) == (
        REAL["registration_upload"],
        REAL["export_key"],
    )


def test_the_independent_implementation_reproduces_the_published_login() -> None:
    client, server = (
        Client(REAL["password"], lambda output: output, CONTEXT),
        Server(REAL["oprf_seed"], REAL["server_private_key"], CONTEXT),
    )
    request = client.request(
        REAL["blind_login"], REAL["client_nonce"], REAL["client_keyshare_seed"]
    )
    assert request == REAL["ke1"]
    drawn = (REAL["masking_nonce"], REAL["server_nonce"], REAL["server_keyshare_seed"])
    answered = server.response(
        REAL["credential_identifier"], REAL["registration_upload"], request, *drawn
    )
    assert answered == (REAL["ke2"], REAL["ke3"], REAL["session_key"])
    finished = client.finalize(
        REAL["blind_login"], REAL["client_keyshare_seed"], request, answered[0]
    )
    assert finished == (REAL["ke3"], REAL["session_key"], REAL["export_key"])


def test_the_independent_implementation_reproduces_the_published_answer_for_an_unknown_user() -> (
    None
):
    identities = (FAKE["client_identity"], FAKE["server_identity"])
    server = Server(FAKE["oprf_seed"], FAKE["server_private_key"], CONTEXT, identities)
    dummy = FAKE["client_public_key"] + FAKE["masking_key"] + bytes(96)
    drawn = (FAKE["masking_nonce"], FAKE["server_nonce"], FAKE["server_keyshare_seed"])
    assert (
        server.response(FAKE["credential_identifier"], dummy, FAKE["ke1"], *drawn)[0] == FAKE["ke2"]
    )


def stretched(output: bytes) -> bytes:
    """The key stretching that docs/decisions/0033-opaque.md states for the library."""
    return hash_secret_raw(output, bytes(16), 2, 19 << 10, 1, 64, Type.ID)


def registered() -> tuple[bytes, bytes, bytes]:
    """Set-up, record and export key, made by the driver at both ends."""
    setup = bytes(Opaque.make_setup())
    client = Opaque.register(PASSWORD)
    answering = Opaque(setup).answer_registration(USER, client.message)
    done = client.finish(answering.message)
    return setup, answering.finish(done.upload), bytes(done.export_key)


def test_an_independent_client_registers_and_logs_in_at_the_driver() -> None:
    server, client = Opaque(Opaque.make_setup()), Client(PASSWORD, stretched)
    blind, nonce, seed = (system_rng(32) for _ in range(3))
    answering = server.answer_registration(USER, client.blinded(blind))
    upload, export_key = client.upload(blind, answering.message, nonce)
    record = answering.finish(upload)
    request = client.request(blind, nonce, seed)
    login = server.answer_login(USER, record, request)
    finalization, session_key, again = client.finalize(blind, seed, request, login.message)
    done = login.finish(finalization)
    assert done.session_key == session_key
    assert done.messages == (request, login.message, finalization)
    assert again == export_key
    # The driver's own client logs in with that record, too.
    ours = Opaque.log_in(PASSWORD)
    assert (
        ours.finish(server.answer_login(USER, record, ours.message).message).export_key
        == export_key
    )


def test_the_driver_logs_in_at_an_independent_server() -> None:
    setup, record, export_key = registered()
    server, client = Server(setup[:64], setup[64:96]), Opaque.log_in(PASSWORD)
    response, finalization, session_key = server.response(
        USER.encode(), record, client.message, *(system_rng(32) for _ in range(3))
    )
    done = client.finish(response)
    assert done.messages == (client.message, response, finalization)
    assert done.session_key == session_key
    assert done.export_key == export_key


def test_the_answer_for_an_unknown_user_is_that_of_the_dummy_record() -> None:
    """As RFC 9807 asks under "Client Enumeration": nothing tells that the record is nobody's but
    its password."""
    setup, _, _ = registered()
    dummy, server, request = (
        setup[128:],
        Server(setup[:64], setup[64:96]),
        Client(PASSWORD, stretched).request(*(system_rng(32) for _ in range(3))),
    )
    response = Opaque(setup).answer_login("nobody", None, request).message
    expected, _, _ = server.response(
        b"nobody", dummy, request, response[32:64], response[192:224], system_rng(32)
    )
    assert response[:224] == expected[:224]
    other = Opaque(setup).answer_login("nobody else", None, request).message
    assert other[:32] != response[:32]


def test_a_server_that_does_not_hold_the_record_proves_nothing() -> None:
    """A server with the right set-up and a record of its own making."""
    setup, _, _ = registered()
    client, blind, nonce = Client(b"guessed", stretched), system_rng(32), system_rng(32)
    server = Server(setup[:64], setup[64:96])
    forged, _ = client.upload(
        blind, server.registration_response(USER.encode(), client.blinded(blind)), nonce
    )
    ours = Opaque.log_in(PASSWORD)
    response, _, _ = server.response(
        USER.encode(), forged, ours.message, *(system_rng(32) for _ in range(3))
    )
    with pytest.raises(AuthenticationError, match="the login failed"):
        ours.finish(response)


@pytest.mark.parametrize("identity", ["request", "share"])
def test_the_neutral_element_is_refused(identity: str) -> None:
    """32 zeros, which encode it: a blinded element or a share that makes the result independent of
    a key (RFC 9497 section 3.3.1)."""
    setup, record, _ = registered()
    request = Opaque.log_in(PASSWORD).message
    forged = bytes(32) + request[32:] if identity == "request" else request[:64] + bytes(32)
    with pytest.raises(CryptoError, match="no honest program sends"):
        Opaque(setup).answer_login(USER, record, forged)


ACTIONS: dict[str, Callable[[], object]] = {
    "password": lambda: Opaque.log_in(b"\xff"),
    "long password": lambda: Opaque.register(b"x" * 65536),
    "set-up": lambda: Opaque(bytes(Opaque.setup_size)),
    "record": lambda: Opaque(Opaque.make_setup()).answer_login(
        USER, b"\xff" * 192, Opaque.log_in(PASSWORD).message
    ),
    "name": lambda: Opaque(Opaque.make_setup()).answer_login(
        "\ud800", None, Opaque.log_in(PASSWORD).message
    ),
    "request": lambda: Opaque(Opaque.make_setup()).answer_registration(USER, b"\xff" * 32),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_refusals_are_sentences_of_ours(name: str) -> None:
    with pytest.raises(CryptoError) as caught:
        ACTIONS[name]()
    assert not isinstance(caught.value, AuthenticationError)
    assert re.search(r"; (take|restore|end) .*[^.]\Z", str(caught.value))
    assert "Serializ" not in str(caught.value)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opaque_snake", None)
    with pytest.raises(PluginError, match=r'pip install "tallow\[opaque\]"'):
        Opaque.log_in(PASSWORD)


@pytest.mark.processes
def test_the_library_is_imported_at_first_use() -> None:
    program = (
        "import sys; from tallow_plugins.authenticators.opaque import Opaque; before ="
        " 'opaque_snake' in sys.modules;"
        "Opaque.log_in(b''); print(before, 'opaque_snake' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=60, check=True, capture_output=True, text=True
    )
    assert done.stdout == "False True\n"


def test_the_password_of_a_run_is_overwritten() -> None:
    """Our own copy; those of the library are not claimed."""
    for begin in (Opaque.register, Opaque.log_in):
        run: Any = begin(PASSWORD)
        with pytest.raises(CryptoError):
            run.finish(b"")
        wiped: Any = begin(PASSWORD)
        wiped.wipe()
        assert not any(run._password)
        assert not any(wiped._password)
