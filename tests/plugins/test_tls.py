"""The tls transport: the kit's checks, and what is particular to it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tallow_core.directories import Directories
from tallow_core.errors import (
    AuthenticationError,
    BrokenOffError,
    ConfigError,
    UnreachableError,
    UsageError,
)
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.testing import ConformanceError
from tallow_core.testing.checks import transport_checks as checks
from tallow_core.testing.checks.pin_checks import (
    unknown_certificate_is_refused,
    wrong_pin_is_refused,
)
from tallow_core.types import Endpoint, Trust
from tallow_plugins.transports import _certificate
from tallow_plugins.transports.tls import Tls

pytestmark = pytest.mark.sockets

PATIENCE = 20.0
HERE = Endpoint("tls", "127.0.0.1", 0)


@pytest.fixture
def settings(tmp_path: Path) -> DriverSettings:
    return DriverSettings(
        directories=Directories(tmp_path / "c", tmp_path / "s", tmp_path / "d", tmp_path / "r")
    )


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_conformance(
    check: Callable[[type[Transport], DriverSettings], None], settings: DriverSettings
) -> None:
    check(Tls, settings)


def with_listener(
    settings: DriverSettings,
    use: Callable[[Listener], asyncio.Future[None] | object],
    *,
    lasting: bool = False,
) -> None:
    async def run() -> None:
        listener = await Tls(settings).listen(HERE, lasting=lasting)
        try:
            await use(listener)  # type: ignore[misc]
        finally:
            await listener.aclose()

    asyncio.run(asyncio.wait_for(run(), PATIENCE))


async def dial(
    settings: DriverSettings, endpoint: Endpoint, trust: Trust = Trust.PEER
) -> ByteStream:
    return await Tls(settings).dial(
        endpoint,
        asyncio.get_running_loop().time() + PATIENCE,
        trust=trust,
        network=DirectConnector(),
    )


def test_pins_are_parsed_in_any_case_and_kept_in_lower(settings: DriverSettings) -> None:
    pin = "aB" * 32
    assert Tls(settings).parse("tls", f"[::1]:7#sha256={pin}") == Endpoint(
        "tls", "::1", 7, "ab" * 32
    )
    for bad in (pin, f"sha1={pin}", f"sha256={pin}0", f"sha256={pin[:-1]}g", f"sha256={pin}#"):
        with pytest.raises(UsageError, match="64 hex digits"):
            Tls(settings).parse("tls", f"h:7#{bad}")


def test_tls_1_2_is_refused(settings: DriverSettings) -> None:
    async def old_client(listener: Listener) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        connecting = asyncio.create_task(
            asyncio.open_connection("127.0.0.1", listener.endpoint.port, ssl=context)
        )
        server = await listener.accept()
        with pytest.raises(BrokenOffError, match="protocol"):
            await server.receive_into(bytearray(1))
        await server.aclose()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connecting

    with_listener(settings, old_client)


def test_a_listener_with_tls_1_2_only_is_refused(settings: DriverSettings, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    (tmp_path / "old.pem").write_bytes(_certificate.fresh_identity())
    context.load_cert_chain(tmp_path / "old.pem")

    async def new_client() -> None:
        server = await asyncio.start_server(
            lambda reader, writer: None, "127.0.0.1", 0, ssl=context
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(UnreachableError, match="cannot be reached"):
                await dial(settings, Endpoint("tls", "127.0.0.1", port), Trust.SESSION)

    asyncio.run(asyncio.wait_for(new_client(), PATIENCE))


def test_wrong_pin_shows_both_and_what_to_do(settings: DriverSettings) -> None:
    async def wrong(listener: Listener) -> None:
        accepting = asyncio.create_task(received(listener))
        endpoint = Endpoint("tls", "127.0.0.1", listener.endpoint.port, "5" * 64)
        with pytest.raises(AuthenticationError) as caught:
            await dial(settings, endpoint)
        assert caught.value.exit_status == 4
        assert listener.endpoint.pin is not None
        assert listener.endpoint.pin[:16] in str(caught.value)
        assert "5" * 16 in str(caught.value)
        assert await accepting == b""

    with_listener(settings, wrong)


async def received(listener: Listener) -> bytes:
    """What the next connection sends, until it ends or breaks off."""
    stream, content, buffer = await listener.accept(), bytearray(), bytearray(4096)
    try:
        while got := await stream.receive_into(buffer):
            content += buffer[:got]
    except BrokenOffError:
        pass
    finally:
        await stream.aclose()
    return bytes(content)


def test_system_roots_do_not_vouch_for_a_self_signed_certificate(settings: DriverSettings) -> None:
    async def unknown(listener: Listener) -> None:
        accepting = asyncio.create_task(received(listener))
        with pytest.raises(AuthenticationError, match="self-signed"):
            await dial(settings, Endpoint("tls", "127.0.0.1", listener.endpoint.port))
        assert await accepting == b""

    with_listener(settings, unknown)


def test_the_name_is_checked_where_the_system_trusts_the_certificate(
    settings: DriverSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is made a system root, but it is for no name: still refused."""

    async def misnamed(listener: Listener) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "s" / _certificate.IDENTITY_FILE))
        accepting = asyncio.create_task(received(listener))
        with pytest.raises(AuthenticationError, match=r"(?i)mismatch|not valid for|doesn't match"):
            await dial(settings, Endpoint("tls", "127.0.0.1", listener.endpoint.port))
        assert await accepting == b""

    with_listener(settings, misnamed, lasting=True)


def test_the_pin_is_the_hash_of_the_public_key_info(
    settings: DriverSettings, tmp_path: Path
) -> None:
    async def compare(listener: Listener) -> None:
        identity = tmp_path / "s" / _certificate.IDENTITY_FILE
        openssl = ["openssl", "pkey", "-in", str(identity), "-pubout", "-outform", "DER"]
        try:
            spki = subprocess.run(openssl, check=True, capture_output=True).stdout
        except FileNotFoundError:
            pytest.skip("no openssl program to compare with")
        assert listener.endpoint.pin == hashlib.sha256(spki).hexdigest()

    with_listener(settings, compare, lasting=True)


def test_t13_lasting_identity_is_private_and_its_own(
    settings: DriverSettings, tmp_path: Path
) -> None:
    async def look(listener: Listener) -> None:
        facts = (tmp_path / "s" / _certificate.IDENTITY_FILE).lstat()
        assert stat.S_IMODE(facts.st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "s").lstat().st_mode) == 0o700
        assert [path.name for path in (tmp_path / "s").iterdir()] == [_certificate.IDENTITY_FILE]

    old = os.umask(0)
    try:
        with_listener(settings, look, lasting=True)
    finally:
        os.umask(old)
    assert _certificate.lasting_identity(tmp_path / "other") != _certificate.lasting_identity(
        tmp_path / "s"
    )


def test_two_starts_at_once_use_one_identity(tmp_path: Path) -> None:
    identities: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda: identities.append(_certificate.lasting_identity(tmp_path / "s"))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(identities) == 8
    assert len(set(identities)) == 1
    assert len(list((tmp_path / "s").iterdir())) == 1


def test_a_fresh_listener_leaves_no_file(
    settings: DriverSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(listener: Listener) -> None:
        assert os.listdir(tmp_path) == []

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with_listener(settings, look)


def readable_by_others(path: Path) -> None:
    path.write_bytes(_certificate.fresh_identity())
    path.chmod(0o640)


def symlink(path: Path) -> None:
    target = path.with_name("planted.pem")
    target.write_bytes(_certificate.fresh_identity())
    target.chmod(0o600)
    path.symlink_to(target)


def fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage")
    path.chmod(0o600)


def mismatched(path: Path) -> None:
    marker = b"-----BEGIN CERTIFICATE"
    one, other = _certificate.fresh_identity(), _certificate.fresh_identity()
    path.write_bytes(one.partition(marker)[0] + marker + other.partition(marker)[2])
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (readable_by_others, "chmod 600"),
        (symlink, "cannot be used"),
        (fifo, "regular"),
        (garbage, "matching"),
        (mismatched, "matching"),
    ],
)
def test_an_identity_that_is_not_mine_alone_is_refused(
    settings: DriverSettings, tmp_path: Path, plant: Callable[[Path], None], message: str
) -> None:
    (tmp_path / "s").mkdir(mode=0o700)
    path = tmp_path / "s" / _certificate.IDENTITY_FILE
    plant(path)
    with pytest.raises(ConfigError, match=message) as caught:
        asyncio.run(asyncio.wait_for(Tls(settings).listen(HERE, lasting=True), PATIENCE))
    assert str(path) in str(caught.value)


def test_no_name_is_sent_with_a_pin(settings: DriverSettings) -> None:
    """The server name (RFC 6066) would travel in clear."""

    async def sniff() -> bytes:
        hello = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            hello.set_result(await reader.read(4096))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(UnreachableError):
                await dial(settings, Endpoint("tls", "localhost", port, "0" * 64))
            return bytes(await hello)

    assert b"localhost" not in asyncio.run(asyncio.wait_for(sniff(), PATIENCE))


def test_a_caller_that_speaks_something_else_is_broken_off(settings: DriverSettings) -> None:
    async def serve(listener: Listener) -> None:
        with closing(socket.create_connection(("127.0.0.1", listener.endpoint.port))) as caller:
            caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            stream = await listener.accept()
            with pytest.raises(BrokenOffError, match="broke off"):
                await stream.receive_into(bytearray(1))
            await stream.aclose()

    with_listener(settings, serve)


def test_reading_goes_on_after_send_eof(settings: DriverSettings) -> None:
    async def half(listener: Listener) -> None:
        content = os.urandom(300_000)

        async def answer() -> None:
            server = await listener.accept()
            assert await server.receive_into(bytearray(9)) == 8
            assert await server.receive_into(bytearray(9)) == 0
            await server.send(content)
            await server.aclose()

        answering = asyncio.create_task(answer())
        client = await dial(settings, listener.endpoint)
        await client.send(b"question")
        await client.send_eof()
        got, buffer = bytearray(), bytearray(1 << 17)
        while count := await client.receive_into(buffer):
            got += buffer[:count]
        await answering
        await client.aclose()
        assert got == content

    with_listener(settings, half)


def test_both_ends_may_use_a_stream_at_first_in_both_directions(settings: DriverSettings) -> None:
    """The handshake of an accepted stream runs once, whichever of receiving and sending comes
    first."""

    async def both(listener: Listener) -> None:
        dialling = asyncio.create_task(dial(settings, listener.endpoint))
        server = await listener.accept()
        buffer = bytearray(4)
        receiving = asyncio.create_task(server.receive_into(buffer))
        await asyncio.gather(server.send(b"down"), server.send(b"more"))
        client = await dialling
        await client.send(b"up")
        assert await receiving == 2
        await asyncio.gather(client.aclose(), server.aclose())

    with_listener(settings, both)


class Trusting(Tls):
    """Breaks the contract: believes whoever answers."""

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        unpinned = Endpoint("tls", endpoint.host, endpoint.port)
        return await super().dial(unpinned, deadline, **{**rest, "trust": Trust.SESSION})


@pytest.mark.parametrize(
    "check",
    [wrong_pin_is_refused, unknown_certificate_is_refused],
    ids=lambda check: check.__name__,
)
def test_the_kit_finds_a_driver_that_trusts_anybody(
    check: Callable[[type[Transport], DriverSettings], None], settings: DriverSettings
) -> None:
    with pytest.raises(ConformanceError):
        check(Trusting, settings)
